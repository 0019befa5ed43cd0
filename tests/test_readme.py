"""What the README and the committed reports claim is what was measured."""

import re
import shutil
import subprocess
import sys

import pytest
from conftest import PROJECT

from bench.cases import BACKENDS
from bench.page_cache import MOST_RESIDENT
from bench.report import read_run, write_report
from bench.report.audit_section import audit_verdict
from bench.report.cells import fraction, interval, mebibytes, median, milliseconds, rate
from bench.report.emulation import emulations
from bench.report.memory_section import scaling_findings
from bench.report.ranking import best_loaders
from bench.report.rows import rows_from_run
from bench.report.scaling import scalings
from loaders import LOADERS
from loaders.registry import missing_package

REFERENCE = PROJECT / "results" / "reference"
REPORTS = sorted(path.parent for path in REFERENCE.glob("*/*/run.json"))
TABLE = REFERENCE / "amd-epyc-2-cores" / "three-backends"
MEMORY = TABLE.with_name("memory")
EMULATED = TABLE.with_name("emulated")
COLD = TABLE.with_name("cold")
README = (PROJECT / "README.md").read_text()


def reference_rows():
    return rows_from_run(read_run(TABLE))


def readme_table() -> list[str]:
    """The README's table, as the reference report has it."""
    lines = [
        "| backend | best loader | feed rate (samples/s) | AU of feed | footprint (MiB) "
        "| not ranked below it | PyDataset with Keras' `workers=2` |",
        "|:--|:--|--:|--:|--:|:--|:--|",
    ]
    rows = reference_rows()
    for best in best_loaders(rows):
        stock = next(
            row
            for row in rows
            if (row.config, row.loader, row.num_workers) == (best.row.config, "stock_sequence", 2)
        )
        cells = [
            best.row.backend,
            f"`{best.row.label}`",
            interval(best.row.feed.rate, rate),
            interval(best.row.feed.utilization, fraction),
            mebibytes(best.row.memory.footprint_bytes),
            ", ".join(f"`{row.label}`" for row in best.tied) or "none",
            audit_verdict(stock).partition(" `")[0],
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def test_the_readmes_table_is_the_reference_reports():
    assert "\n".join(readme_table()) in README


def test_the_readmes_sentence_on_memory_is_the_reference_reports():
    run = read_run(MEMORY)
    lines = {line.row.loader: line for line in scalings(run, rows_from_run(run))}
    chosen = [lines["numpy"], lines["sequence"]]
    said = " ".join(scaling_findings(chosen, run["environment"]["memory_bytes"]))
    assert said in " ".join(README.split())


def test_the_readmes_sentence_on_memory_on_tensorflow_is_the_reference_reports():
    run = read_run(MEMORY.with_name("memory-tensorflow"))
    assert {case["case"]["backend"] for case in run["cases"]} == {"tensorflow"}
    (line,) = [x for x in scalings(run, rows_from_run(run)) if x.row.loader == "sequence"]
    (said,) = scaling_findings([line], run["environment"]["memory_bytes"])
    stays = said.partition(" from ")[0]
    assert f"{stays} ([report](results/reference/amd-epyc-2-cores/memory-tensorflow/" in README


def test_what_the_readme_says_of_steps_of_2_ms_is_the_reference_reports():
    rows = rows_from_run(read_run(MEMORY.with_name("batches")))
    found: dict[str, list[str]] = {}
    for row in rows:
        if row.batch_size == 128:
            (step,) = row.emulated
            own = row.loader == "sequence"
            found.setdefault("own" if own else "other", []).append(
                fraction(step.case.utilization.median)
            )
    assert len(set(found["own"])) == 1
    assert len(found["own"]) == 3
    said = f"an AU of {found['own'][0]} on each backend, and no other loader more than "
    assert said + max(found["other"]) in " ".join(README.split())


def emulated_table() -> list[str]:
    """The README's table of emulated steps, as the reference report has it."""
    found = {
        (each.row.loader, each.row.backend): each
        for each in emulations(rows_from_run(read_run(EMULATED)))
    }
    lines = ["| loader | JAX | TensorFlow | torch |", "|:--|--:|--:|--:|"]
    for loader in sorted({loader for loader, _ in found}):
        cells = [f"`{loader}`"]
        for backend in ("jax", "tensorflow", "torch"):
            each = found[loader, backend]
            step = each.shortest_step
            there = "none" if step is None else median(each.measured[step].rate, rate)
            cells.append(there if step is None else f"{step:g} ms ({there})")
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def test_the_readmes_table_of_emulated_steps_is_the_reference_reports():
    assert "\n".join(emulated_table()) in README


def cold_table() -> list[str]:
    """The README's table of cold first batches, as the reference report has it."""
    found = {(row.loader, row.backend): row for row in rows_from_run(read_run(COLD))}
    lines = ["| loader | JAX | TensorFlow | torch |", "|:--|--:|--:|--:|"]
    for loader in sorted({loader for loader, _ in found}):
        firsts = (
            found[loader, backend].feed.time_to_first_batch_s
            for backend in ("jax", "tensorflow", "torch")
        )
        cells = [f"`{loader}`", *(median(first, milliseconds) for first in firsts)]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def test_the_readmes_table_of_cold_first_batches_is_the_reference_reports():
    assert "\n".join(cold_table()) in README


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
    shutil.copy(folder / "run.json", tmp_path)
    write_report(tmp_path)
    for name in ("report.md", "summary.csv"):
        assert (tmp_path / name).read_text() == (folder / name).read_text()


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
        (PROJECT / "bench" / name).read_text() for name in ("options.py", "compare/__main__.py")
    )
    assert f'"{option}"' in known or option.startswith("--benchmark-")


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#]+)\)", README))))
def test_every_link_of_the_readme_leads_somewhere(link):
    assert (PROJECT / link).exists()
