"""Laws of `bench.report`, on an invented run.

The files in `data/invented_run*/` beside `run.json` are what the report must say about it, to the
byte; one of these runs has the oldest schema. After a change that was meant:
`UPDATE_GOLDEN=1 python -m pytest tests/test_report.py`, then read the difference before you commit.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import jinja2
import pandas as pd
import pytest

from keras_loader_bench.bench import report as report_package
from keras_loader_bench.bench.record.reader import parse_run
from keras_loader_bench.bench.report import read_run, terminal_table, write_report
from keras_loader_bench.bench.report.figures.rows import rows_from_run
from keras_loader_bench.bench.report.figures.scaling import scalings
from keras_loader_bench.bench.report.plots.bar_plots import footprint_figure, rates_figure
from keras_loader_bench.bench.report.plots.plot_layout import loader_styles
from keras_loader_bench.bench.report.report_markdown import environment, report_markdown
from keras_loader_bench.bench.report.sections.findings import findings

DATA = Path(__file__).parent / "data"
GOLDEN = DATA / "invented_run"
SCHEMA_1 = DATA / "invented_run_schema_1"
ROOT = Path(__file__).parents[1]
HOSTILE = "a|b `c` ```\n```\n<script>x</script> \x1b[31mred\x1b[0m $x_1$ \u202e [l](u) **e**"


@pytest.fixture
def written(tmp_path):
    """Write all files of a run's report, once or again, and return its text."""

    def write(run):
        (tmp_path / "run.json").write_text(json.dumps(run), encoding="utf-8")
        write_report(tmp_path)
        return (tmp_path / "report.md").read_text(encoding="utf-8")

    return write


@pytest.fixture
def without_plots(monkeypatch):
    """They take longest."""
    monkeypatch.setattr(report_package, "draw_plots", lambda *about: {})


@pytest.fixture
def report(tmp_path):
    """Return the text of a run's report, without the plots, which take longest."""

    def write(run):
        (tmp_path / "run.json").write_text(json.dumps(run), encoding="utf-8")
        read = read_run(tmp_path)
        rows = rows_from_run(read)
        return report_markdown(read, rows, scalings(read, rows), plots=[])

    return write


def select(run, bench, loader):
    return next(
        result
        for result in run["cases"]
        if (result["case"]["bench"], result["case"]["loader"]) == (bench, loader)
    )


def says(run):
    return "\n".join(findings(rows_from_run(parse_run(run))))


def line_of(text, loader):
    return next(line for line in text.splitlines() if line.startswith(f"| `{loader}`"))


@pytest.mark.parametrize("golden", [GOLDEN, SCHEMA_1], ids=lambda folder: folder.name)
def test_the_report_of_an_invented_run_is_the_golden_one(golden, written, tmp_path):
    written(json.loads((golden / "run.json").read_text(encoding="utf-8")))
    table = terminal_table(read_run(tmp_path))
    (tmp_path / "terminal.txt").write_text(f"{table}\n", encoding="utf-8")
    for name in ("report.md", "summary.csv", "terminal.txt"):
        if os.environ.get("UPDATE_GOLDEN"):
            (golden / name).write_bytes((tmp_path / name).read_bytes())
        assert (tmp_path / name).read_text("utf-8") == (golden / name).read_text("utf-8")


def test_a_report_rebuilt_has_the_same_bytes(run, written, tmp_path):
    written(run)
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    written(run)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == first
    assert {"report.md", "report.html", "summary.csv", "rounds.csv", "rates.svg"} < first.keys()


def test_files_that_a_report_no_longer_has_are_removed(run, written, tmp_path):
    (tmp_path / "notes.png").write_bytes(b"mine")
    written(run)
    assert {"footprint.png", "footprint.svg", "timeline.png"} <= {
        p.name for p in tmp_path.iterdir()
    }
    run["cases"] = [result for result in run["cases"] if result["case"]["bench"] != "memory"]
    written(run)
    names = {path.name for path in tmp_path.iterdir()}
    assert {"rates.png", "notes.png", "run.json"} < names
    assert not [name for name in names if name.startswith(("footprint", "timeline"))]


def test_a_misspelt_name_in_a_template_is_an_error(tmp_path):
    (tmp_path / "a.md.j2").write_text("{{ known.nmae }}")
    with pytest.raises(jinja2.UndefinedError, match="nmae"):
        environment(tmp_path).get_template("a.md.j2").render(known={"name": "x"})


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
    assert "This run is not complete (status: interrupted)." in terminal_table(parse_run(run))
    assert rounds == 0 or keep != 1 or "k (too few rounds), interrupted" in text


def test_a_case_may_lack_every_part_that_is_not_its_name(run, report):
    for result in run["cases"]:
        for part in ("rounds", "time_to_first_batch_s", "memory", "audit", "error"):
            result.pop(part)
        result["outcome"] = "ok"
    assert "## Comparison" in report(run)
    assert says(run) == ""


def test_an_empty_run_has_a_report_a_table_and_no_plots(run, written, tmp_path):
    text = written(run | {"cases": [], "sources": [], "environment": {}, "protocol": {}})
    assert "No case has been measured." in text
    assert not list(tmp_path.glob("*.[sp][vn]g"))
    assert (tmp_path / "summary.csv").read_text().startswith("backend,loader,")
    assert "No case has been measured." in terminal_table(parse_run(run | {"cases": []}))


def test_a_failed_audit_is_never_ranked_and_never_hidden(run, report):
    *rest, fast = rows_from_run(parse_run(run))
    assert fast.loader == "wrong_dtype"
    assert fast.feed.rate.low > max(row.feed.rate.high for row in rest)
    text = report(run)
    assert "`tf_data` feeds fastest" in text
    assert "**Wrong batches, therefore not ranked** ([audit](#audit)): `wrong_dtype`" in text
    assert "audit failed" in line_of(text, "wrong_dtype")
    assert "**other dtype or shape** `0badc0de0bad`" in line_of(text, "wrong_dtype")
    assert "| fit, epoch 1 | other dtype or shape | 65 of 65 | `batch 3: dtype" in text
    assert "audit failed" in terminal_table(parse_run(run))


@pytest.mark.parametrize("outcome", ["failed", "crashed", "timeout", "interrupted", "skipped"])
def test_a_case_that_did_not_end_well_says_so_in_its_cell_and_is_not_ranked(run, report, outcome):
    select(run, "feed", "tf_data")["outcome"] = outcome
    assert "`tf_data` feeds" not in says(run)
    assert outcome in line_of(report(run), "tf_data")


def test_the_report_says_which_version_of_the_suite_measured(run, report):
    run["environment"]["suite"] = {"version": "1.2", "commit": "a" * 40, "changed": True}
    assert "- Software: keras-loader-bench 1.2 (aaaaaaaaaa, changed), Python" in report(run)


def test_the_suites_own_loaders_are_marked_where_the_run_names_them(run, report):
    assert "this suite wrote" not in report(run)
    own = run | {"own_loaders": ["sequence", "not_measured"]}
    assert "Loaders that this suite wrote itself: `sequence`." in report(own)


def test_options_stand_in_columns_only_where_they_differ(run, report):
    heading = "| loader | batches identical | feed rate"
    assert heading in report(run)
    select(run, "train", "numpy")["case"]["batch_size"] = 1024
    text = report(run)
    assert f"| batch size {heading}" in text
    assert "All rows: tensorflow, float32, 50,000 samples." in text


def test_workers_stand_in_a_column_only_where_they_differ(whole_run, run, report):
    assert "workers |" not in report(run)
    text = report(whole_run)
    assert "| backend | loader | workers | batches identical | feed rate" in text
    assert re.search(r"\| jax \| `sequence` \| 2 \| yes `\w+` \| ★ 141k", text)
    for result in run["cases"]:
        result["case"]["num_workers"] = 2
    assert "141k" not in report(run)
    assert "75.8k" in line_of(report(run), "tf_data (2 workers)")


def test_a_row_that_was_skipped_is_listed_with_its_remedy_and_shown_nowhere_else(whole_run, report):
    text = report(whole_run)
    listed = [line for line in text.splitlines() if "grain" in line]
    assert len(listed) == 1
    assert "- Skipped, `` `grain` is not installed; `pip install grain` adds" in listed[0]
    assert listed[0].endswith("`memory-torch-grain-w2-b64-float32-n50000`")
    table = terminal_table(parse_run(whole_run))
    assert "\nskipped 2 cases: `grain` is not installed; `pip install grain` adds" in table
    assert table.count("grain") == 2
    rows = rows_from_run(parse_run(whole_run))
    for figure in (rates_figure, footprint_figure):
        labels = [
            tick.get_text()
            for tick in figure(rows, loader_styles(r.loader for r in rows))
            .axes[0]
            .yaxis.get_ticklabels()
        ]
        assert "tf_data" in labels
        assert not [label for label in labels if "grain" in label]


def test_a_run_in_which_all_was_skipped_has_a_report(whole_run, written):
    whole_run["cases"] = [r for r in whole_run["cases"] if r["outcome"] == "skipped"]
    text = written(whole_run)
    assert "No case has been measured." in text
    assert "## Audit" not in text
    assert "Skipped, " in text


def test_the_report_names_the_version_and_device_of_each_backend(run, report):
    run["environment"]["backends"]["torch"]["device"] = None
    line = "- Backends: jax 0.10.2 on cpu, tensorflow 2.21.0 on cpu, torch 2.9.1\n"
    assert line in report(run)
    run["environment"]["backends"] = None
    assert "Backends" not in report(run)


@pytest.mark.usefixtures("without_plots")
def test_the_summary_tells_workers_verdicts_and_known_failures(whole_run, written, tmp_path):
    written(whole_run)
    header, *lines = (tmp_path / "summary.csv").read_text().splitlines()
    key = "backend,loader,num_workers,batch_size,pixels,"
    options = (
        "device,precision,jit_compile,steps_per_execution,page_cache,model,image_size,"
        "image_quality,image_order,augment,ranks,steps,remedy,samples,"
    )
    assert header.startswith(f"{key}{options}identical,verdict,known_failure,")
    failed = "jax,stock_sequence,2,64,float32,auto,float32,auto,1,warm,cnn,"
    failed += "0,0,stored,none,1,0,none,50000,False,"
    assert [line for line in lines if line.startswith(f"{failed}missing_or_repeated,True,")]


@pytest.mark.usefixtures("without_plots")
def test_tables_for_programs_have_every_row_and_round_in_both_forms(whole_run, written, tmp_path):
    pytest.importorskip("pyarrow", reason="pyarrow is not installed; `pip install pyarrow`")
    written(whole_run)
    rounds = pd.read_csv(tmp_path / "rounds.csv")
    timed = [result for result in whole_run["cases"] if result["rounds"]]
    assert len(rounds) == sum(len(result["rounds"]) for result in timed) > 100
    first = rounds.iloc[0]
    assert first.samples_per_s == pytest.approx(first.samples / first.seconds, rel=1e-4)
    for name in ("summary", "rounds"):
        csv, parquet = (
            pd.read_csv(tmp_path / f"{name}.csv"),
            pd.read_parquet(tmp_path / f"{name}.parquet"),
        )
        assert list(csv.columns) == list(parquet.columns)
        for column in csv.select_dtypes("number"):
            there = csv[column].notna()
            assert (parquet[column].notna() == there).all()
            assert csv[column][there].tolist() == pytest.approx(
                parquet[column][there].astype(float).tolist(), rel=1e-4
            )
    assert (tmp_path / "badge-batches.svg").exists()


def test_hostile_text_stays_inside_its_place(whole_run, written):
    run = whole_run
    for result in run["cases"]:
        if result["outcome"] in ("skipped", "audit_failed"):
            result["error"] = {"message": HOSTILE}
            if result["known_failure"]:
                result["known_failure"] = {"reason": HOSTILE, "link": HOSTILE}
        if result["outcome"] == "audit_failed":
            for each in result["audit"]["passes"]:
                each |= {"name": HOSTILE, "difference": HOSTILE}
        if result["case"]["loader"] == "wrong_dtype":
            result["case"]["loader"] = result["id"] = HOSTILE
            result["error"] = {"type": HOSTILE, "message": HOSTILE, "signal": HOSTILE}
            result["error"] |= {"traceback": HOSTILE, "log_tail": HOSTILE}
    run["environment"] |= {"os": HOSTILE, "cpu": HOSTILE, "packages": {HOSTILE: HOSTILE}}
    run["environment"]["backends"] = {HOSTILE: {"version": HOSTILE, "device": HOSTILE}}
    run["sources"][0]["name"] = HOSTILE
    text = written(run)
    blocks = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    assert len(blocks) == 4
    for table in blocks:
        assert len({line.replace("\\|", "").count("|") for line in table}) == 1
    assert "\x1b" not in text + terminal_table(parse_run(run))
    assert "\u202e" not in text + terminal_table(parse_run(run))
    fences = [line for line in text.splitlines() if line.startswith("````")]
    assert fences == ["````text", "````"] * 4
    outside = "".join(text.split("````")[::2])
    prose = re.sub(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", "", outside)
    assert [markup for markup in ("<", "[l]", " **e**") if markup in prose] == []
    assert text.rstrip().endswith("the raw values in `run.json`.")


def test_the_command_rebuilds_a_report_and_loads_no_framework(run, written, tmp_path):
    text = written(run)
    (tmp_path / "report.md").unlink()
    program = (
        "import sys; from keras_loader_bench.bench.report.__main__ import main;"
        "status = main(sys.argv[1:]);"
        "print(sorted({'keras', 'tensorflow', 'torch', 'jax', 'loaders'} & sys.modules.keys()));"
        "sys.exit(status)"
    )
    command = [sys.executable, "-W", "error", "-c", program, str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("[]\n")
    assert (tmp_path / "report.md").read_text(encoding="utf-8") == text
