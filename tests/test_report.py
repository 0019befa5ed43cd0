"""Laws of `bench.report`, on an invented run.

The files in `data/invented_run/` beside `run.json` are what the report must say about it, to the
byte. After a change that was meant: `UPDATE_GOLDEN=1 python -m pytest tests/test_report.py`, then
read the difference before committing it.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench.report import RunFileError, read_run, terminal_table, write_report
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


@pytest.mark.parametrize("keep", [0, 1, 9])
@pytest.mark.parametrize("rounds", [0, 3])
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
        result["outcome"] = "ok"
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


@pytest.mark.parametrize("outcome", ["failed", "killed", "timeout", "interrupted", "skipped"])
def test_a_case_that_did_not_end_well_says_so_in_its_cell_and_is_not_ranked(run, report, outcome):
    select(run, "feed", "tf_data")["outcome"] = outcome
    assert "`tf_data` feeds" not in says(run)
    assert outcome in line_of(report(run), "tf_data")


def test_options_stand_in_columns_only_where_they_differ(run, report):
    heading = "| loader | feed rate"
    assert heading in report(run)
    select(run, "train", "numpy")["case"]["batch_size"] = 1024
    text = report(run)
    assert f"| batch size {heading}" in text
    assert "All rows: tensorflow, float32, 50,000 samples." in text


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
    prose = re.sub(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", "", outside)
    assert [markup for markup in ("<", "[l]", " **e**") if markup in prose] == []
    assert text.rstrip().endswith("the raw values in `run.json`.")


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
