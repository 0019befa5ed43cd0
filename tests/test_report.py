"""Laws of `bench.report`, on an invented run.

The files in `data/invented_run/` beside `run.json` are what the report must say about it, to the
byte. After a change that was meant: `UPDATE_GOLDEN=1 python -m pytest tests/test_report.py`, then
read the difference before committing it.
"""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench.report import RunFileError, read_run, terminal_table, write_report
from bench.report.cells import fence, fraction, mebibytes, rate, significant
from bench.report.findings import findings
from bench.report.plots import footprint_figure, rates_figure
from bench.report.rows import rows_from_run

GOLDEN = Path(__file__).parent / "data" / "invented_run"
ROOT = Path(__file__).parents[1]
HOSTILE = "a|b `c` ```\n```\n<script>x</script> \x1b[31mred\x1b[0m $x_1$ \u202e [l](u) **e**"


@pytest.fixture
def run():
    return json.loads((GOLDEN / "run.json").read_text(encoding="utf-8"))


@pytest.fixture
def report(tmp_path):
    """Write the report of a run, once or again, and return its text."""

    def write(run):
        (tmp_path / "run.json").write_text(json.dumps(run), encoding="utf-8")
        write_report(tmp_path)
        return (tmp_path / "report.md").read_text(encoding="utf-8")

    return write


def select(run, bench, loader):
    return next(
        result
        for result in run["cases"]
        if (result["case"]["bench"], result["case"]["loader"]) == (bench, loader)
    )


def speed_up(result, factor):
    for measured in result["rounds"]:
        measured["seconds"] /= factor
        measured["ceiling_seconds"] /= factor


def says(run):
    return "\n".join(findings(rows_from_run(run)))


def line_of(text, loader):
    return next(line for line in text.splitlines() if line.startswith(f"| `{loader}`"))


@pytest.mark.parametrize("name", ["report.md", "summary.csv", "terminal.txt"])
def test_the_report_of_the_invented_run_is_the_golden_one(run, report, tmp_path, name):
    report(run)
    (tmp_path / "terminal.txt").write_text(f"{terminal_table(run)}\n", encoding="utf-8")
    if os.environ.get("UPDATE_GOLDEN"):
        (GOLDEN / name).write_bytes((tmp_path / name).read_bytes())
    assert (tmp_path / name).read_text("utf-8") == (GOLDEN / name).read_text("utf-8")


def test_a_report_rebuilt_has_the_same_bytes(run, report, tmp_path):
    report(run)
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    report(run)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == first
    assert {"report.md", "summary.csv", "rates.svg", "footprint.png"} < first.keys()


@pytest.mark.parametrize("keep", [0, 1, 5, 9])
@pytest.mark.parametrize("rounds", [0, 1, 3])
def test_a_run_killed_at_any_point_is_readable(run, report, keep, rounds):
    del run["cases"][keep:]
    run |= {"status": "interrupted", "finished_utc": None, "planned_cases": 20}
    for result in run["cases"][-1:]:
        result |= {"outcome": "interrupted", "audit": None, "rounds": result["rounds"][:rounds]}
        result["time_to_first_batch_s"] = []
        result["memory"] = {"metric": "pss", "baseline": None, "readings": []}
    text = report(run)
    missing = 20 - keep + bool(keep)
    assert f"**This run was interrupted: {missing} of the cases are missing" in text
    assert "This run is not complete (status: interrupted)." in terminal_table(run)
    assert rounds == 0 or keep != 1 or "k (too few rounds), interrupted" in text


def test_a_case_may_lack_every_part_that_is_not_its_name(run, report):
    for result in run["cases"]:
        for part in ("rounds", "time_to_first_batch_s", "memory", "audit", "error"):
            result.pop(part)
    assert "## Comparison" in report(run)
    assert says(run) == ""


def test_an_empty_run_has_a_report_a_table_and_no_plots(run, report, tmp_path):
    text = report(run | {"cases": [], "sources": [], "environment": {}, "protocol": {}})
    assert "No case has been measured." in text
    assert not list(tmp_path.glob("*.[sp][vn]g"))
    assert (tmp_path / "summary.csv").read_text().startswith("backend,loader,")
    assert "No case has been measured." in terminal_table(run | {"cases": []})


def test_a_failed_audit_is_never_ranked_and_never_hidden(run, report):
    fast = rows_from_run(run)[-1]
    assert fast.loader == "wrong_dtype"
    assert fast.feed.rate.low > max(row.feed.rate.high for row in rows_from_run(run)[:-1])
    text = report(run)
    assert "`tf_data` feeds fastest" in text
    assert "**Wrong batches, therefore not ranked**: `wrong_dtype` (batch 3" in text
    assert "audit failed" in line_of(text, "wrong_dtype")
    assert "**no** `0badc0de0bad`" in line_of(text, "wrong_dtype")
    assert "audit failed" in terminal_table(run)


def test_wrong_batches_count_even_where_the_case_says_ok(run):
    select(run, "train", "tf_data")["audit"] |= {"identical": False, "first_difference": None}
    row = rows_from_run(run)[2]
    assert (row.train.outcome, row.identical) == ("audit_failed", False)
    assert "`tf_data` feeds" not in says(run)
    assert "audit failed: train-tensorflow-tf_data" in terminal_table(run)


def test_a_loader_that_was_never_audited_is_not_ranked(run):
    for bench in ("feed", "train", "memory"):
        select(run, bench, "tf_data")["audit"] = None
    assert "tf_data" not in says(run)


def test_loaders_that_disagree_on_the_same_batches_all_fail(run):
    for result in run["cases"]:
        if result["case"]["loader"] == "numpy":
            result["audit"] |= {"digest": "ff" * 32}
    assert {row.identical for row in rows_from_run(run)} == {False}
    assert "different digests" in says(run)


@pytest.mark.parametrize("outcome", ["failed", "killed", "timeout", "interrupted", "skipped"])
def test_a_case_that_did_not_end_well_says_so_in_its_cell_and_is_not_ranked(run, report, outcome):
    select(run, "feed", "tf_data")["outcome"] = outcome
    assert "`tf_data` feeds" not in says(run)
    assert outcome in line_of(report(run), "tf_data")


def test_overlapping_loaders_are_not_ranked(run):
    tied = select(run, "feed", "sequence")
    tied["rounds"] = copy.deepcopy(select(run, "feed", "tf_data")["rounds"])
    speed_up(tied, 1.01)
    text = says(run)
    assert "feeds fastest beyond doubt: the intervals of `sequence`" in text
    assert "so they are not ranked. Slower than `sequence`: `numpy`" in text
    assert "feeds fastest:" not in text


def test_too_few_rounds_are_not_ranked(run):
    for result in run["cases"]:
        del result["rounds"][5:]
    assert "Too few rounds to rank `numpy`" in says(run)
    assert "fastest" not in says(run)


def test_what_limits_training_depends_on_the_utilization(run):
    assert "The model, not the loader, limits training here" in says(run)
    for measured in select(run, "train", "numpy")["rounds"]:
        measured["seconds"] *= 2
    assert "limits training" not in says(run)
    assert "The model waits for `numpy` (0.53 of the time)" in says(run)


def test_only_loaders_with_the_same_options_are_compared(run):
    for result in run["cases"]:
        if result["case"]["loader"] != "tf_data":
            result["case"] |= {"backend": "jax", "batch_size": 256}
    text = says(run)
    assert "- " not in text
    assert "jax, batch size 256: `sequence` feeds fastest" in text
    assert "tensorflow, batch size 64: `tf_data` feeds 75.8k samples/s, with none" in text


def test_options_stand_in_columns_only_where_they_differ(run, report):
    heading = "| loader | feed rate"
    assert heading in report(run)
    select(run, "train", "numpy")["case"]["batch_size"] = 1024
    text = report(run)
    assert f"| batch size {heading}" in text
    assert "All rows: tensorflow, float32, 50,000 samples." in text


def test_the_footprint_counts_private_and_shared_memory_and_keeps_what_shrank(run):
    memory = select(run, "memory", "numpy")["memory"]
    memory["baseline"] = {"anon": 100, "shmem": 10, "file": 1000}
    memory["readings"] = [
        {"t": 0.0, "phase": "ceiling", "anon": 9999, "shmem": 9999, "file": 9999},
        {"t": 1.0, "phase": "loader", "anon": 150, "shmem": 5, "file": 900},
        {"t": 2.0, "phase": "epoch 1", "anon": 120, "shmem": 50, "file": 950},
    ]
    measured = rows_from_run(run)[0].memory
    assert (measured.anon_bytes, measured.shmem_bytes) == (20, 40)
    assert (measured.footprint_bytes, measured.page_cache_bytes) == (60, -50)


def test_hostile_text_stays_inside_its_place(run, report):
    for result in run["cases"]:
        if result["case"]["loader"] == "wrong_dtype":
            result["case"]["loader"] = result["id"] = HOSTILE
            result["error"] = {"type": HOSTILE, "message": HOSTILE, "signal": HOSTILE}
            result["error"] |= {"traceback": HOSTILE, "log_tail": HOSTILE}
    run["environment"] |= {"os": HOSTILE, "cpu": HOSTILE, "packages": {HOSTILE: HOSTILE}}
    run["sources"][0]["name"] = HOSTILE
    text = report(run)
    table = [line for line in text.splitlines() if line.startswith("|")]
    assert len({line.replace("\\|", "").count("|") for line in table}) == 1
    assert "\x1b" not in text + terminal_table(run)
    assert "\u202e" not in text + terminal_table(run)
    fences = [line for line in text.splitlines() if line.startswith("````")]
    assert fences == ["````text", "````"] * 4
    outside = "".join(text.split("````")[::2])
    assert "<script>" not in outside.replace("<script>x</script> red $x_1$ ? [l](u) **e** ```", "")
    assert text.rstrip().endswith("the raw values in `run.json`.")


@pytest.mark.parametrize("text", ["", "x", "```", "~~~\n`````\n", "a\x1b[2Jb\x00\r\nc\x07"])
def test_a_fence_is_longer_than_every_fence_in_it_and_holds_no_control_characters(text):
    opening, *body, closing = fence(text).split("\n")
    assert opening == f"{closing}text"
    assert all(closing not in line and (line.isprintable() or not line) for line in body)


@pytest.mark.parametrize("width", [60, 100])
@pytest.mark.parametrize("name", ["x", "a_rather_long_name_of_a_loader", "ü" * 200, HOSTILE])
@pytest.mark.parametrize("samples", [10, 10_000_000])
def test_no_line_in_the_terminal_is_too_long(run, width, name, samples):
    for number, result in enumerate(run["cases"]):
        result["case"] |= {"samples": samples, "batch_size": 8 * (number % 3 + 1)}
        if result["case"]["loader"] == "tf_data":
            result["case"]["loader"] = name
            result |= {"outcome": "killed", "error": {"type": "E", "message": "m" * 300}}
        else:
            speed_up(result, samples)
    lines = terminal_table(run, width=width).split("\n")
    assert max(map(len, lines)) <= width
    assert all(line.isascii() and line.isprintable() for line in lines)


def test_long_names_shorten_and_figures_stay(run):
    for result in run["cases"]:
        result["case"]["loader"] += "_" * 100
    table = terminal_table(run)
    assert "34.3k" in table
    assert "NO" in table


def test_plots_are_valid_and_begin_at_zero(run, report, tmp_path):
    report(run)
    for name in ("rates", "footprint"):
        root = ElementTree.parse(tmp_path / f"{name}.svg").getroot()
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    rows = rows_from_run(run)
    for figure in (rates_figure(rows), footprint_figure(rows)):
        for ax in figure.axes:
            assert ax.get_xlim()[0] == 0
            assert ax.get_xlabel()
            assert all(patch.get_x() >= 0 for patch in ax.patches)


def test_a_loader_has_one_colour_in_all_plots(run):
    rows = rows_from_run(run)
    rates, footprint = rates_figure(rows), footprint_figure(rows)
    seen = [[patch.get_facecolor() for patch in ax.patches[:3]] for ax in rates.axes]
    seen.append([patch.get_facecolor() for patch in footprint.axes[0].patches[::3]])
    assert seen[0] == seen[1] == seen[2]
    assert len(set(seen[0])) == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist"),
        ("{", "cannot be read as JSON"),
        ("[]", "not a run of this suite"),
        ('{"schema": 2}', "Upgrade keras-loader-bench"),
        ('{"schema": 1, "status": "complete"}', "`environment` must be dict, got NoneType"),
    ],
)
def test_a_run_that_cannot_be_read_costs_one_line_and_no_file(tmp_path, content, message):
    if content is not None:
        (tmp_path / "run.json").write_text(content, encoding="utf-8")
    with pytest.raises(RunFileError, match=message):
        read_run(tmp_path)
    before = list(tmp_path.iterdir())
    if content in (None, "{"):
        command = [sys.executable, "-m", "bench.report", str(tmp_path)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == before


def test_the_command_rebuilds_a_report_and_loads_no_framework(run, report, tmp_path):
    text = report(run)
    (tmp_path / "report.md").unlink()
    program = (
        "import sys; from bench.report.__main__ import main; status = main(sys.argv[1:]);"
        "print(sorted({'keras', 'tensorflow', 'torch', 'jax', 'loaders'} & sys.modules.keys()));"
        "sys.exit(status)"
    )
    command = [sys.executable, "-W", "error", "-c", program, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("[]\n")
    assert (tmp_path / "report.md").read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (rate(38_149), "38.1k"),
        (rate(999.4), "999"),
        (rate(999.6), "1.00k"),
        (rate(1_234_567), "1,235k"),
        (significant(99.96), "100"),
        (significant(0.001234), "0.00123"),
        (significant(-12.34), "-12.3"),
        (significant(0), "0"),
        (fraction(-0.001), "0.00"),
        (fraction(-0.05), "-0.05"),
        (mebibytes(1200 * 2**20), "1,200"),
        (mebibytes(-(2**18)), "0"),
    ],
)
def test_numbers_are_written_with_the_digits_that_matter(written, expected):
    assert written == expected
