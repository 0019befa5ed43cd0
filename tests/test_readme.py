"""What the README and the committed reports claim is what was measured."""

import re
import subprocess
import sys

import pytest
from conftest import PROJECT

from keras_loader_bench.bench.child.cold_pages import MOST_RESIDENT
from keras_loader_bench.bench.plan.options import BACKENDS
from keras_loader_bench.bench.report import read_run
from keras_loader_bench.bench.report.markers import refreshed
from keras_loader_bench.bench.report.plots import CAPTIONS
from keras_loader_bench.bench.report.report_markdown import report_markdown
from keras_loader_bench.bench.report.rows import rows_from_run
from keras_loader_bench.bench.report.scaling import scalings
from keras_loader_bench.bench.report.summary import tables, write_tables
from keras_loader_bench.loaders import LOADERS
from keras_loader_bench.loaders.registry import missing_package

REFERENCE = PROJECT / "results" / "reference"
REPORTS = sorted(path.parent for path in REFERENCE.glob("*/*/run.json"))
TABLE = REFERENCE / "amd-epyc-2-cores" / "three-backends"
MEMORY = TABLE.with_name("memory")
EMULATED = TABLE.with_name("emulated")
COLD = TABLE.with_name("cold")
README = (PROJECT / "README.md").read_text()


def reference_rows():
    return rows_from_run(read_run(TABLE))


def test_the_readmes_parts_are_those_of_the_reference_reports():
    """After a change that was meant: `keras-loader-bench report --readme`."""
    assert refreshed(README, PROJECT) == README


def test_the_readme_takes_its_numbers_from_the_reports():
    used = set(re.findall(r"<!-- bench:([a-z-]+) results/reference/[a-z0-9-]+/([a-z-]+)", README))
    assert {
        ("best", "three-backends"),
        ("answer", "three-backends"),
        ("sizes", "memory"),
        ("sizes", "memory-tensorflow"),
        ("plot", "memory"),
        ("first-batch", "cold"),
        ("shortest-steps", "emulated"),
        ("step", "batches"),
    } <= used


def test_the_memory_reference_of_tensorflow_is_of_tensorflow():
    run = read_run(MEMORY.with_name("memory-tensorflow"))
    assert {case["case"]["backend"] for case in run["cases"]} == {"tensorflow"}


def test_every_round_of_the_cold_reference_was_cold():
    rounds = [measured for case in read_run(COLD)["cases"] for measured in case["rounds"]]
    assert max(measured["resident_before"] for measured in rounds) <= MOST_RESIDENT
    assert {row.page_cache for row in rows_from_run(read_run(COLD))} == {"cold"}


def test_all_batches_of_the_emulated_reference_are_identical():
    rows = rows_from_run(read_run(EMULATED))
    assert {row.backend for row in rows} == set(BACKENDS)
    assert {row.loader for row in rows} == {n for n, entry in LOADERS.items() if not entry.opt_in}
    for row in rows:
        assert row.identical
        assert [step.step_ms for step in row.emulated] == [0.5, 1, 2, 5, 10]


def test_the_reference_shows_what_the_readme_says_of_it():
    """Arrays die, the lazy sequence does not, however much larger than the budget the data are."""
    run = read_run(MEMORY)
    lines = {line.row.loader: line for line in scalings(run, rows_from_run(run))}
    assert lines["numpy"].died
    sequence = lines["sequence"]
    assert not sequence.died
    largest = max(sequence.lived)
    assert largest == run["sources"][0]["num_samples"]
    assert largest * 3072 > run["protocol"]["memory_budget_bytes"]
    assert sequence.lived[largest] < 1.10 * sequence.lived[min(sequence.lived)]
    for image in re.findall(r"!\[[^]]*\]\(([^)]*)\)", README):
        assert (PROJECT / image).exists()


@pytest.mark.parametrize(
    "folder", REPORTS, ids=lambda folder: f"{folder.parent.name}/{folder.name}"
)
def test_a_committed_report_is_what_its_run_says(folder, tmp_path):
    """All but the plots, whose bytes depend on Matplotlib's version, and take longest to draw."""
    run = read_run(folder)
    rows = rows_from_run(run)
    plots = [name for name in CAPTIONS if (folder / f"{name}.svg").exists()]
    text = report_markdown(run, rows, scalings(run, rows), plots=plots)
    assert text == (folder / "report.md").read_text()
    write_tables(tables(run, rows), tmp_path)
    for path in tmp_path.glob("*.csv"):
        assert path.read_text() == (folder / path.name).read_text()
    page = (folder / "report.html").read_text()
    assert len(page.encode()) < 2 * 2**20
    assert page.count('<figure id="plot-') == len(plots) > 0


def test_there_are_reference_reports():
    assert TABLE in REPORTS
    assert len(REPORTS) >= 2


def test_the_reference_has_every_loader_on_every_backend_without_and_with_workers():
    measured = {(row.backend, row.loader, row.num_workers) for row in reference_rows()}
    assert measured == {
        (backend, loader, workers)
        for backend in BACKENDS
        for loader, entry in LOADERS.items()
        for workers in ((0, 2) if entry.has_workers else (0,))
        if not entry.opt_in
    }


def test_all_batches_of_the_reference_are_identical_but_for_known_failures():
    for row in reference_rows():
        known = LOADERS[row.loader].expected_failure(row.backend, row.num_workers)
        assert row.identical == (known is None), (row.backend, row.label)


@pytest.mark.skipif(missing_package(("jax",)) is not None, reason="jax is not installed")
def test_the_readmes_audit_prints_what_the_readme_shows(tmp_path):
    """Whoever runs these lines must see the same: the finding of this project."""
    (script,) = re.findall(r"`seq.py`:\n\n```python\n(.*?)```", README, re.DOTALL)
    ((command, shown),) = re.findall(
        r"```console\n\$ python (-m loaders.audit .*?)\n(.*?)\n\.\.\.\n```", README, re.DOTALL
    )
    (tmp_path / "seq.py").write_text(script)
    versions = r"Keras \S+ on JAX \S+;"
    for _ in range(3):  # on a busy machine Keras' workers get less far ahead, and fewer are lost
        done = subprocess.run(
            [sys.executable, *command.split()], cwd=tmp_path, capture_output=True, text=True
        )
        assert done.returncode == 1, done.stderr
        seen = re.sub(versions, "", done.stdout)
        if seen.startswith(re.sub(versions, "", shown)):
            return
    pytest.fail(f"not what the README shows:\n{seen}")


@pytest.mark.parametrize("option", sorted(set(re.findall(r"`(--[a-z-]+)", README))))
def test_every_option_that_the_readme_names_exists(option):
    known = "".join(
        (PROJECT / "bench" / name).read_text()
        for name in ("options.py", "compare/__main__.py", "report/__main__.py")
    )
    assert f'"{option}"' in known or option.startswith("--benchmark-")


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#]+)\)", README))))
def test_every_link_of_the_readme_leads_somewhere(link):
    assert (PROJECT / link).exists()
