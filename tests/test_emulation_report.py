"""What the report says of an emulated accelerator."""

import copy
import json

import pandas as pd
import pytest

from keras_loader_bench.bench.report import read_run, write_report
from keras_loader_bench.bench.report.figures.emulation import emulations
from keras_loader_bench.bench.report.figures.rows import rows_from_run
from keras_loader_bench.bench.report.plots.emulation_plot import emulation_figure
from keras_loader_bench.bench.report.plots.plot_layout import loader_styles
from keras_loader_bench.bench.report.terminal_table import terminal_table


def emulated_case(run, loader, step_ms, utilization, *, busy=False, outcome="ok", identical=True):
    """A case of six rounds that vary a little: a first step and 1,000 more of 64 samples."""
    template = next(r for r in run["cases"] if r["case"]["bench"] in ("feed", "emulated"))
    result = copy.deepcopy(template)
    result["case"] |= {
        "bench": "emulated",
        "loader": loader,
        "device": "auto",
        "precision": "float32",
        "jit_compile": "auto",
        "steps_per_execution": 1,
        "page_cache": "warm",
        "step_ms": step_ms,
        "step_cpu": busy,
    }
    ceiling = step_ms + 0.1  # seconds of 1,000 steps
    result["rounds"] = [
        {
            "samples": 64_064,
            "ceiling_seconds": 2 * ceiling,  # the start of `fit` is none of the steps
            "seconds": 3 * ceiling / utilization,
            "ceiling_steady_seconds": ceiling,
            "steady_seconds": ceiling / (utilization + 0.002 * number),
            "cpu_seconds": 1.0,
        }
        for number in (-2, -1, 0, 0, 1, 2)
    ]
    result |= {"id": f"emulated-{loader}-{step_ms}-{busy}", "outcome": outcome}
    result |= {"device": "cpu", "time_to_first_batch_s": [], "memory": None, "known_failure": None}
    result["audit"] |= {
        "identical": identical,
        "verdict": "identical" if identical else "different",
    }
    return result


@pytest.fixture
def emulated(run, tmp_path):
    """Two loaders, one of which keeps a shorter step busy; written, and read again."""
    utilizations = {
        "sequence": {0.5: 0.42, 1: 0.71, 2: 0.93, 5: 0.97},
        "tf_data": {0.5: 0.91, 1: 0.95, 2: 0.98, 5: 0.99},
        "numpy": {0.5: 0.1, 1: 0.2, 2: 0.95, 5: 0.5},
    }
    cases = [
        emulated_case(run, loader, step, utilization)
        for loader, steps in utilizations.items()
        for step, utilization in steps.items()
    ]

    def with_cases(*more):
        content = run | {"schema": 5, "cases": [*cases, *more], "probes": []}
        (tmp_path / "run.json").write_text(json.dumps(content))
        return read_run(tmp_path)

    return with_cases


def by_loader(run):
    return {(each.row.loader, each.busy): each for each in emulations(rows_from_run(run))}


def test_the_shortest_step_is_one_from_which_on_all_are_kept_busy(emulated):
    found = by_loader(emulated())
    assert found["sequence", False].shortest_step == 2
    assert found["tf_data", False].shortest_step == 0.5
    assert found["numpy", False].shortest_step is None, "2 ms was an accident: 5 ms are not"


def test_a_case_that_ended_badly_or_had_wrong_batches_says_nothing(run, emulated):
    bad = emulated_case(run, "grain", 2, 0.99, outcome="crashed")
    wrong = emulated_case(run, "torch", 2, 0.99, identical=False, outcome="audit_failed")
    found = by_loader(emulated(bad, wrong))
    assert found["grain", False].shortest_step is None
    assert found["torch", False].shortest_step is None


def test_the_report_has_a_table_a_plot_and_the_limits(emulated, tmp_path):
    emulated()
    names = {path.name for path in write_report(tmp_path)}
    assert {"emulated.png", "emulated.svg", "emulated.csv"} <= names
    text = (tmp_path / "report.md").read_text()
    section = text.partition("## Emulated accelerator")[2].partition("\n## ")[0]
    assert "Nothing competes for the bus" in section
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    assert [line.split(" | ")[-2:] for line in lines] == [
        ["none", "- |"],
        ["2", "28.3k |"],
        ["0.5", "97.1k |"],
    ]
    assert "0.93 (0.93 - 0.93)" in lines[1]
    said = (
        "With an emulated step that sleeps, `tf_data` keeps steps of 0.5 ms or longer busy; "
        "`sequence` keeps steps of 2 ms or longer busy; `numpy` keeps no step busy."
    )
    assert said in text
    assert said.replace("`", "") in terminal_table(read_run(tmp_path)).replace("\n", " ")


def test_steps_that_keep_a_core_busy_are_compared_among_themselves(run, emulated, tmp_path):
    typed = emulated(*(emulated_case(run, "tf_data", step, 0.6, busy=True) for step in (1, 2)))
    found = by_loader(typed)
    assert found["tf_data", False].shortest_step == 0.5
    assert found["tf_data", True].shortest_step is None
    write_report(tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert "The step keeps one core busy" in text
    assert "an emulated step that keeps a core busy, `tf_data` keeps no" in text


def test_every_measured_point_is_in_the_plot(emulated):
    figure = emulation_figure(
        emulations(rows := rows_from_run(emulated())), loader_styles(row.loader for row in rows)
    )
    (ax,) = figure.axes
    points = {line.get_label(): line.lines[0].get_xydata().tolist() for line in ax.containers}
    assert points["sequence"] == [
        [0.5, pytest.approx(0.42)],
        [1, pytest.approx(0.71)],
        [2, pytest.approx(0.93)],
        [5, pytest.approx(0.97)],
    ]
    assert ax.get_ylim()[0] == 0


def test_the_table_for_programs_has_a_line_for_each_step(emulated, tmp_path):
    emulated()
    write_report(tmp_path)
    frame = pd.read_csv(tmp_path / "emulated.csv")
    assert len(frame) == 12
    line = frame[(frame.loader == "sequence") & (frame.step_ms == 2)].iloc[0]
    assert line.accelerator_utilization == pytest.approx(0.93)
    assert line.samples_per_s == pytest.approx(64_000 * 0.93 / 2.1, rel=1e-3)
    assert not line.step_cpu
    assert line.outcome == "ok"


def test_without_emulated_steps_nothing_is_said_of_them(run, tmp_path):
    (tmp_path / "run.json").write_text(json.dumps(run))
    names = {path.name for path in write_report(tmp_path)}
    assert not [name for name in names if name.startswith("emulated")]
    assert "mulated" not in (tmp_path / "report.md").read_text()
