"""What the README, the other pages and the committed reports claim is what was measured."""

import re
import subprocess
import sys

import numpy as np
import pytest
from conftest import PROJECT

from keras_loader_bench.bench.__main__ import COMMANDS
from keras_loader_bench.bench.child.cold_pages import MOST_RESIDENT
from keras_loader_bench.bench.report import read_run
from keras_loader_bench.bench.report.__main__ import PAGES as QUOTING
from keras_loader_bench.bench.report.excerpts.markers import refreshed
from keras_loader_bench.bench.report.figures.rows import not_skipped, rows_from_run
from keras_loader_bench.bench.report.figures.scaling import scalings
from keras_loader_bench.bench.report.plots import CAPTIONS
from keras_loader_bench.bench.report.report_markdown import report_markdown
from keras_loader_bench.loaders import LOADERS, LoaderOptions
from keras_loader_bench.loaders.encoded.registry import IMAGE_LOADERS
from keras_loader_bench.loaders.registry import BACKENDS, missing_package

REFERENCE = PROJECT / "results" / "reference"
REPORTS = sorted(path.parent for path in REFERENCE.glob("*/*/run.json.gz"))
TABLE = REFERENCE / "amd-epyc-2-cores" / "three-backends"
MEMORY = TABLE.with_name("memory")
EMULATED = TABLE.with_name("emulated")
COLD = TABLE.with_name("cold")
H100 = REFERENCE / "nvidia-h100-80gb-16-cores"
AUDIT = PROJECT / "loaders" / "audit" / "README.md"

FOLDER_PAGES = sorted(
    page for part in ("bench", "loaders") for page in PROJECT.glob(f"{part}/**/*.md")
)
PAGES = {
    page.relative_to(PROJECT).as_posix(): page.read_text()
    for page in [
        PROJECT / "README.md",
        *sorted(PROJECT.glob("results/*.md")),
        *sorted(REFERENCE.glob("*/*.md")),
        *FOLDER_PAGES,
    ]
}
"""Address of a page, relative to the project -> its text; without the reports, which are made."""

FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.replace("/", "."))


def reference_rows():
    return rows_from_run(read_run(TABLE))


def compared(run):
    """The loaders of a reference that still exist and that it compares."""
    return {name for name in run.loaders if name in LOADERS and not LOADERS[name].opt_in}


@pytest.mark.parametrize("page", QUOTING, ids=str)
def test_the_parts_of_a_page_are_those_of_the_reference_reports(page):
    """After a change that was meant: `keras-loader-bench report --readme`."""
    text = PAGES[page.as_posix()]
    assert refreshed(text, (PROJECT / page).parent) == text


def test_every_page_that_quotes_a_run_is_refreshed():
    quoting = {page for page, text in PAGES.items() if "<!-- bench:" in FENCED.sub("", text)}
    assert quoting == {page.as_posix() for page in QUOTING}


def test_the_pages_take_their_numbers_from_the_reports():
    marker = re.compile(r"<!-- bench:([a-z-]+) (?:results/)?reference/[a-z0-9-]+/([a-z-]+)")
    used = {found for page in QUOTING for found in marker.findall(PAGES[page.as_posix()])}
    assert {
        ("best", "three-backends"),
        ("answer", "three-backends"),
        ("sizes", "memory"),
        ("sizes", "memory-tensorflow"),
        ("plot", "memory"),
        ("first-batch", "cold"),
        ("shortest-steps", "emulated"),
        ("ranks", "ranks"),
        ("images", "images-bytes"),
        ("images", "images-torch"),
        ("images", "images-tensorflow"),
        ("comparison", "images-train"),
        ("containers", "images-bytes"),
        ("training", "train-jax"),
    } <= used


def test_the_readme_lists_the_loaders_and_marks_this_suites_own():
    table = PAGES["README.md"].partition("## The loaders")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \|.*\| (.*) \| (.*) \|$", table, re.MULTILINE)
    assert {name: (origin, workers != "-") for name, origin, workers in rows} == {
        name: ("this suite" if entry.own else "stock", entry.has_workers)
        for name, entry in LOADERS.items()
        if not entry.opt_in
    }


def test_the_readme_can_be_read_in_a_few_minutes():
    assert len(PAGES["README.md"].splitlines()) <= 140
    for page in FOLDER_PAGES:
        assert len(page.read_text().splitlines()) <= 40, page


def test_a_folder_has_what_the_table_of_its_page_names():
    for page in FOLDER_PAGES:
        for cell in re.findall(r"^\| (.*?) \|", page.read_text(), re.MULTILINE):
            for name in re.findall(r"`([\w*]+(?:\.py|/))`", cell):
                assert list(page.parent.glob(name)), f"{page}: {name}"


def test_the_memory_reference_of_tensorflow_is_of_tensorflow():
    run = read_run(MEMORY.with_name("memory-tensorflow"))
    assert {case.case.backend for case in run.cases} == {"tensorflow"}


def test_every_round_of_the_cold_reference_was_cold():
    rounds = [measured for case in read_run(COLD).cases for measured in case.rounds]
    assert max(measured.resident_before for measured in rounds) <= MOST_RESIDENT
    assert {row.page_cache for row in rows_from_run(read_run(COLD))} == {"cold"}


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_loader_of_images_is_in_their_reference(backend):
    rows = not_skipped(rows_from_run(read_run(TABLE.with_name(f"images-{backend}"))))
    assert {row.loader for row in rows} == set(IMAGE_LOADERS)
    assert {row.backend for row in rows} == {backend}


def test_the_training_reference_of_images_has_all_backends():
    rows = not_skipped(rows_from_run(read_run(TABLE.with_name("images-train"))))
    assert {row.backend for row in rows if row.train} == set(BACKENDS)


@pytest.mark.parametrize(
    "reference",
    ["images-bytes", "images-train", "images-tensorflow", "images-jax", "images-torch"],
)
def test_right_pixels_are_identical_in_the_references_of_images(reference):
    rows = not_skipped(rows_from_run(read_run(TABLE.with_name(reference))))
    other = {name for name, entry in IMAGE_LOADERS.items() if entry.other_pixels}
    assert {row.loader for row in rows if not row.identical} == other & {row.loader for row in rows}


def test_the_reference_of_bytes_has_all_backends_and_a_loader_for_each_container():
    rows = not_skipped(rows_from_run(read_run(TABLE.with_name("images-bytes"))))
    read = {entry.container for entry in IMAGE_LOADERS.values()}
    for backend in BACKENDS:
        of_backend = [row for row in rows if row.backend == backend]
        assert {row.pixels for row in of_backend} == {"uint8"}
        assert {IMAGE_LOADERS[row.loader].container for row in of_backend} == read


def test_all_batches_of_the_emulated_reference_are_identical():
    rows = rows_from_run(read_run(EMULATED))
    assert {row.backend for row in rows} == set(BACKENDS)
    assert {row.loader for row in rows} == compared(read_run(EMULATED))
    for row in rows:
        assert row.identical
        assert [step.step_ms for step in row.emulated] == [0.5, 1, 2, 5, 10]


def test_both_ranks_of_the_reference_have_each_sample_once():
    run = read_run(TABLE.with_name("ranks"))
    assert {(each.case.backend, each.case.ranks) for each in run.cases} == {
        (backend, ranks) for backend in BACKENDS for ranks in (1, 2)
    }
    assert {each.case.step_ms for each in run.cases} == {5, 20}
    for each in run.cases:
        assert each.audit.identical
        union = each.audit.union
        assert (union is not None) == (each.case.ranks == 2)
        assert union is None or (union.missing, union.again, union.steps) == (0, 0, [157, 157])


def test_batches_on_the_h100_are_identical_but_for_those_of_keras_own_workers():
    runs = [read_run(H100 / name) for name in ("audit-jax", "train-jax", "train-torch", "feed-jax")]
    rows = [row for run in runs for row in not_skipped(rows_from_run(run))]
    assert {row.label for row in rows if not row.identical} == {"stock_sequence (2 workers)"}


def test_the_reference_shows_what_the_findings_say_of_it():
    """Arrays die, the lazy sequence does not, however much larger than the budget the data are."""
    run = read_run(MEMORY)
    lines = {line.row.loader: line for line in scalings(run, rows_from_run(run))}
    assert lines["numpy"].died
    sequence = lines["sequence"]
    assert not sequence.died
    largest = max(sequence.lived)
    assert largest == run.sources[0].num_samples
    assert largest * 3072 > run.protocol.memory_budget_bytes
    assert sequence.grows_little
    assert sequence.line.high < 3 * 4  # bytes per sample: no more than orders take


@pytest.mark.parametrize(
    "folder", REPORTS, ids=lambda folder: f"{folder.parent.name}/{folder.name}"
)
def test_the_figures_of_a_committed_report_are_those_of_its_run(folder):
    """Its tables; what stands around them may be worded better by now."""
    run = read_run(folder)
    rows = rows_from_run(run)
    plots = [name for name in CAPTIONS if (folder / f"{name}.png").exists()]
    text = report_markdown(run, rows, scalings(run, rows), plots=plots)
    committed = (folder / "report.md").read_text()
    assert plots
    assert [line for line in text.splitlines() if line.startswith(("|", "!["))] == [
        line for line in committed.splitlines() if line.startswith(("|", "!["))
    ]


def test_the_reference_stays_small():
    """Whoever clones the project has it for ever: pages and tables are made by a command."""
    listed = ["git", "ls-files", "-z", "results/reference"]
    names = subprocess.run(listed, cwd=PROJECT, capture_output=True, text=True).stdout.split("\0")
    paths = [PROJECT / name for name in names if name]
    assert sum(path.stat().st_size for path in paths if path.exists()) < 3 * 2**20
    assert {path.suffix for path in paths} <= {".gz", ".md", ".png"}


def test_there_are_reference_reports():
    assert TABLE in REPORTS
    assert len(REPORTS) >= 2


def test_the_reference_has_every_loader_of_its_time_on_every_backend():
    """A loader that has come since is in the next reference."""
    known = compared(read_run(TABLE))
    measured = {(row.backend, row.loader, row.num_workers) for row in reference_rows()}
    assert len(known) >= 7
    assert measured == {
        (backend, loader, workers)
        for backend in BACKENDS
        for loader in known
        for workers in ((0, 2) if LOADERS[loader].has_workers else (0,))
    }


def test_all_batches_of_the_reference_are_identical_but_for_known_failures():
    for row in reference_rows():
        known = LOADERS[row.loader].expected_failure(row.backend, row.num_workers)
        assert row.identical == (known is None), (row.backend, row.label)


@pytest.mark.long
@pytest.mark.skipif(missing_package(("jax",)) is not None, reason="jax is not installed")
def test_the_example_of_an_audit_prints_what_its_page_shows(tmp_path):
    """Whoever runs these lines must see the same: the finding of this project."""
    page = AUDIT.read_text()
    (script,) = re.findall(r"`seq.py`:\n\n```python\n(.*?)```", page, re.DOTALL)
    ((command, shown),) = re.findall(
        r"```console\n\$ keras-loader-bench (audit .*?)\n(.*?)\n\.\.\.\n```", page, re.DOTALL
    )
    (tmp_path / "seq.py").write_text(script)
    versions = r"Keras \S+ on JAX \S+;"
    for _ in range(3):  # on a busy machine Keras' workers get less far ahead, and fewer are lost
        done = subprocess.run(
            [sys.executable, "-m", "keras_loader_bench.bench", *command.split()],
            cwd=tmp_path,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 1, done.stderr
        seen = re.sub(versions, "", done.stdout)
        if seen.startswith(re.sub(versions, "", shown)):
            return
    pytest.fail(f"not what the page shows:\n{seen}")


@every_page
def test_every_python_example_of_a_page_compiles(page):
    for script in re.findall(r"^```python\n(.*?)^```$", PAGES[page], re.DOTALL | re.MULTILINE):
        compile(script, page, "exec")


def test_the_example_of_a_loader_delivers_its_rows(source):
    pytest.importorskip("torch")
    (script,) = re.findall(r"```python\n(# loaders/my_loader.*?)```", PAGES["README.md"], re.DOTALL)
    names: dict = {}
    exec(compile(script, "README.md", "exec"), names)
    rows = np.array([7, 3, 3, 229, 0])
    loader = names["MyLoader"](source, LoaderOptions(batch_size=2, pixels="uint8"))
    batches = [np.asarray(x) for x, _ in loader.fit_args(rows)["x"]]
    assert [len(batch) for batch in batches] == [2, 2, 1]
    assert np.array_equal(np.concatenate(batches), source.images[rows])


@pytest.mark.parametrize(
    "option",
    sorted({o for text in PAGES.values() for o in re.findall(r"(?<!\S)`?(--[a-z-]+)", text)}),
)
def test_every_option_that_a_page_names_exists(option):
    files = [*PROJECT.glob("bench/**/*.py"), *PROJECT.glob("loaders/**/*.py")]
    known = "".join(file.read_text() for file in files)
    script = (PROJECT / "bench" / "gpu_check.sh").read_text()
    others = option.startswith("--benchmark-") or option in ("--dist", "--nproc-per-node")
    assert f'"{option}"' in known or option in script or others


@every_page
def test_every_command_that_a_page_names_exists(page):
    words = re.findall(r"keras-loader-bench ([a-z]+)", PAGES[page])
    assert set(words) <= COMMANDS.keys()


def anchors(text):
    """What a link may name in a page, as GitHub makes it of its headings."""
    titles = re.findall(r"^#+ (.*)$", FENCED.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@every_page
def test_every_link_of_a_page_leads_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", PAGES[page]):
        if link.startswith("https://"):
            continue
        address, _, anchor = link.partition("#")
        target = (PROJECT / page).parent / address if address else PROJECT / page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target.read_text()), link
