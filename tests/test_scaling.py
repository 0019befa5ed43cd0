"""What sizes say together: bytes a sample, where a loader dies, what a machine holds."""

import json
from dataclasses import replace

import pytest
from conftest import INVENTED_RUN
from made_runs import case_record, raw_run

from keras_loader_bench.bench.plan.protocol import Protocol
from keras_loader_bench.bench.record.reader import parse_run
from keras_loader_bench.bench.report import read_run, write_report
from keras_loader_bench.bench.report.figures.memory_figures import MIN_LATER_ROUNDS, read_memory
from keras_loader_bench.bench.report.figures.rows import rows_from_run
from keras_loader_bench.bench.report.figures.scaling import scalings
from keras_loader_bench.bench.report.plots.memory_plots import scaling_figure, timeline_figure
from keras_loader_bench.bench.report.plots.plot_layout import loader_styles
from keras_loader_bench.bench.report.sections.memory_section import (
    _count,
    footprint,
    scaling_findings,
)
from keras_loader_bench.bench.report.terminal_table import terminal_table

MIB, GIB = 2**20, 2**30
BASELINE = 500 * MIB
SIZES = (50_000, 100_000, 200_000, 400_000, 800_000)


def case(loader, samples, footprint, outcome="ok", budget=GIB, metric="pss", epochs=6, slope=0.0):
    """A memory case with an invented footprint."""
    zero = {"file": 0, "shmem": 0, "dev_shm": 0}
    phases = ["import", "ceiling", "baseline", "loader"]
    phases += [f"epoch {number}" for number in range(1, epochs + 1)]
    held = {"import": BASELINE // 2, "ceiling": BASELINE, "baseline": BASELINE}
    readings = [
        {
            "t": float(t),
            "phase": phase,
            "anon": held.get(phase, BASELINE + footprint + int(slope * (t - 3))),
            **zero,
        }
        for t, phase in enumerate(phases)
    ]
    return {
        "id": f"memory-tensorflow-{loader}-w0-b64-float32-n{samples}",
        "case": {
            "bench": "memory",
            "backend": "tensorflow",
            "loader": loader,
            "num_workers": 0,
            "batch_size": 64,
            "pixels": "float32",
            "device": "auto",
            "precision": "float32",
            "jit_compile": "auto",
            "steps_per_execution": 1,
            "page_cache": "warm",
            "step_ms": None,
            "step_cpu": False,
            "samples": samples,
        },
        "outcome": outcome,
        "error": None if outcome == "ok" else {"type": "MemoryError", "message": "no room"},
        "memory": {
            "metric": metric,
            "baseline": {"anon": BASELINE, **zero},
            "budget_bytes": budget,
            "enforcement": budget and "RLIMIT_DATA",
            "phases": [{"name": phase, "t": float(t)} for t, phase in enumerate(phases)],
            "processes": [],
            "readings": readings,
        },
        "audit": {
            "identical": True,
            "verdict": "identical",
            "digest": f"{samples:064}",
            "passes": [],
        }
        if outcome == "ok"
        else None,
    }


def grows(bytes_per_sample, samples):
    """A case of a loader that needs so much, under a GiB."""
    footprint = 4 * MIB + bytes_per_sample * samples
    return case("grows", samples, min(footprint, GIB), "ok" if footprint <= GIB else "refused")


@pytest.fixture
def run(tmp_path):
    cases = []
    for samples in SIZES:
        cases.append(grows(3_100, samples))
        cases.append(case("stays", samples, 9 * MIB + samples % 7 * 20_000))
    run = raw_run(
        cases,
        environment={"memory_bytes": 24 * GIB},
        protocol={"memory_budget_bytes": GIB},
        probes=[grows(3_100, samples) for samples in (330_000, 343_000, 350_000)],
        planned_cases=10,
    )
    write(tmp_path, run)
    return run


def write(folder, run):
    (folder / "run.json").write_text(json.dumps(run))


def styles_of(run):
    return loader_styles(result["case"]["loader"] for result in run["cases"])


def lines(run):
    typed = parse_run(run)
    return {line.row.loader: line for line in scalings(typed, rows_from_run(typed))}


def test_the_slope_is_what_a_sample_needs(run):
    line = lines(run)["grows"]
    assert line.line.value == pytest.approx(3_100)
    assert line.line.low == pytest.approx(3_100, rel=1e-3)
    assert line.line.at_zero == pytest.approx(4 * MIB, rel=0.01)


def test_probes_narrow_the_bracket_and_the_prediction_lies_in_it(run):
    line = lines(run)["grows"]
    assert line.bracket == (343_000, 350_000)
    assert line.bracket[0] < line.predicted_break < line.bracket[1]


def test_a_machine_holds_what_its_memory_over_the_baseline_has_room_for(run):
    expected = (24 * GIB - BASELINE - 4 * MIB) / 3_100
    assert lines(run)["grows"].capacity(24 * GIB) == pytest.approx(expected, rel=1e-3)


def test_three_sizes_that_prove_no_slope_prove_no_bound_either():
    """With three sizes nearly no slope is surely above 0."""
    sizes = {10_000: 60, 50_000: 400, 100_000: 500}
    cases = [case("grows", n, mib * MIB, budget=None) for n, mib in sizes.items()]
    cases += [
        case("stays", n, mib * MIB, budget=None) for n, mib in zip(sizes, (6, 9, 7), strict=True)
    ]
    found = lines(raw_run(cases))
    assert found["grows"].line.low < 0
    assert not found["grows"].bounded
    assert found["stays"].bounded


def test_a_line_that_grows_little_is_not_continued_to_a_full_machine():
    """An order of 8 bytes per sample."""
    cases = [case("orders", n, 4 * MIB + 8 * n) for n in SIZES]
    cases += [case("grows", n, 4 * MIB + 60 * n) for n in SIZES]
    found = lines(raw_run(cases))
    orders, grows = found["orders"], found["grows"]
    assert (orders.bounded, orders.grows_little) == (False, True)
    assert (orders.capacity(24 * GIB), orders.predicted_break) == (None, None)
    assert (grows.bounded, grows.grows_little) == (False, False)
    assert grows.capacity(24 * GIB)
    assert scaling_findings([orders], 24 * GIB) == [
        "`orders` grows by 8.00 bytes per sample, from 4 MiB at 50,000 samples to 10 MiB at "
        "800,000 samples."
    ]


@pytest.mark.parametrize(
    ("number", "text"),
    [(996_104, "996,104"), (7_912_345, "7.9 million"), (212_345_678, "210 million")],
)
def test_numbers_of_samples_are_written_as_people_do(number, text):
    assert _count(number) == text


def test_a_loader_that_stays_where_it_is_has_no_breaking_point(run):
    line = lines(run)["stays"]
    assert line.bounded
    assert (line.bracket, line.predicted_break, line.capacity(24 * GIB)) == (None, None, None)


def test_the_report_says_it(run, tmp_path):
    write_report(tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert (
        "`grows` needs 3.03 KiB per sample and exceeds a budget of 1 GiB between 343,000 "
        "and 350,000 samples; the 24.0 GiB of this machine would hold 8.1 million samples. "
        "`stays` stays at 9 MiB from 50,000 to 800,000 samples." in text
    )
    table = next(line for line in text.splitlines() if line.startswith("| `grows` |"))
    assert table.split(" | ")[1:6] == ["152", "300", "595", "refused", "refused"]
    assert "343,000 - 350,000" in table
    for name in ("scaling.svg", "scaling.png", "timeline.svg", "timeline.png"):
        assert (tmp_path / name).stat().st_size > 5000
        assert not name.endswith("png") or f"({name})" in text
    assert not (tmp_path / "footprint.png").exists(), "bars of each size would say less"
    assert "feed rate" not in text.partition("## What the numbers say")[0], "nothing was fed"


def test_the_terminal_says_where_a_loader_dies(run):
    text = terminal_table(parse_run(run))
    assert "grows needs 3.03 KiB per sample and exceeds a budget of 1 GiB between" in text
    assert "refused: memory-" not in text, "a death is no failure"


def test_the_plot_has_a_budget_and_crosses_where_loaders_died(run):
    (ax,) = scaling_figure(
        scalings(parse_run(run), rows_from_run(parse_run(run))), styles_of(run)
    ).axes
    budget = [line for line in ax.lines if list(line.get_ydata()) == [1024, 1024]]
    assert len(budget) == 1
    (crosses,) = [line for line in ax.lines if line.get_marker() == "x" and len(line.get_xdata())]
    assert list(crosses.get_xdata()) == [350_000, 400_000, 800_000]
    assert min(crosses.get_ydata()) > 1024
    lived = {line.get_label(): list(line.get_xdata()) for line in ax.lines}
    assert lived["grows"] == [50_000, 100_000, 200_000, 330_000, 343_000]


def test_memory_over_time_is_that_over_the_baseline_and_has_the_phases(run):
    figure = timeline_figure(parse_run(run), styles_of(run))
    grows, stays = figure.axes
    assert "grows, refused" in grows.get_title(loc="left")
    assert "800,000 samples" in stays.get_title(loc="left")
    held, cache, *marks = stays.lines
    size = next(
        r for r in rows_from_run(parse_run(run)) if r.loader == "stays" and r.samples == 800_000
    )
    assert max(held.get_ydata()) == pytest.approx(size.footprint_bytes / MIB)
    assert set(cache.get_ydata()) == {1}, "nothing, at the lower end of the axis"
    assert {1, 2, 3} <= {line.get_xdata()[0] for line in marks}, "loader, first and later epochs"


def test_figures_of_another_metric_are_no_part_of_a_line(run):
    for result in run["cases"]:
        if result["case"]["samples"] == 100_000:
            result["memory"]["metric"] = "rss"
    assert set(lines(run)["stays"].lived) == set(SIZES) - {100_000}


def test_figures_of_different_metrics_are_not_compared(run, tmp_path):
    run["probes"] = []
    run["cases"] = [case("one", 50_000, 9 * MIB), case("two", 50_000, 90 * MIB, metric="rss")]
    write(tmp_path, run)
    write_report(tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert "over the baseline, `" not in text
    assert "90 (RSS, page cache included)" in text


@pytest.mark.parametrize(("slope", "found"), [(0.0, False), (MIB, True)])
def test_a_leak_is_a_slope_beyond_doubt(run, tmp_path, slope, found):
    run["probes"] = []
    run["cases"] = [case("leaks", 50_000, 9 * MIB, budget=None, slope=slope)]
    write(tmp_path, run)
    write_report(tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert ("Memory grows with every round: `leaks` by 1.00 (1.00 - 1.00) MiB" in text) == found


@pytest.mark.parametrize("samples", [7, 50_000, 800_000])
def test_a_memory_case_has_rounds_enough_to_tell_growth_from(samples):
    first, *later = Protocol().memory_plan(samples)
    assert first == samples, "the footprint is that of a whole epoch"
    assert len(later) == MIN_LATER_ROUNDS
    assert set(later) == {min(samples, 50_000)}, "whole epochs, up to one CIFAR-10"


def test_a_look_at_a_peak_is_no_reading_of_what_is_left(run, tmp_path):
    """The sampler finds a round's peak when it looks next: after the reading at the round's end."""
    result = case("sequence", 50_000, 9 * MIB, budget=None, slope=MIB)
    readings = []
    for reading in result["memory"]["readings"]:
        readings.append(reading)
        if reading["phase"] in ("epoch 4", "closed"):
            readings.append(reading | {"anon": reading["anon"] + 10 * MIB, "look": True})
    before = read_memory(case_record(result))
    looked = result | {"memory": result["memory"] | {"readings": readings}}
    after = read_memory(case_record(looked))
    assert (after.growth, after.left_bytes) == (before.growth, before.left_bytes)
    assert after.footprint_bytes > before.footprint_bytes, "but it is part of the footprint"


def test_five_epochs_are_too_few_to_speak_of_growth(run, tmp_path):
    run["probes"] = []
    run["cases"] = [case("leaks", 50_000, 9 * MIB, budget=None, slope=MIB, epochs=5)]
    write(tmp_path, run)
    write_report(tmp_path)
    text = (tmp_path / "report.md").read_text()
    assert "too few rounds" in text
    assert "memory grows" not in text


def test_a_run_of_schema_2_keeps_its_footprints(whole_run, tmp_path):
    for result in whole_run["cases"]:
        for name in ("phases", "processes", "budget_bytes", "enforcement", "limit"):
            (result["memory"] or {}).pop(name, None)
        for reading in (result["memory"] or {}).get("readings", ()):
            del reading["dev_shm"]
    del whole_run["probes"]
    (tmp_path / "run.json").write_text(json.dumps(whole_run | {"schema": 2}))
    for old, new in zip(
        rows_from_run(read_run(tmp_path)), rows_from_run(read_run(INVENTED_RUN)), strict=True
    ):
        assert (old.memory and old.memory.footprint_bytes) == (
            new.memory and new.memory.footprint_bytes
        )


def test_of_several_processes_the_one_in_the_middle_is_shown_and_growth_is_of_the_first():
    """The later ones stop after two rounds, and tell how much footprints vary."""
    record, *others = (
        case_record(case("a", 50_000, size * MIB, epochs=epochs))
        for size, epochs in ((4, 6), (9, 2), (6, 2))
    )
    for number, other in enumerate(others, start=2):
        record.processes.append(replace(other.processes[0], number=number))
    memory = read_memory(record)
    assert memory.footprints == (4 * MIB, 6 * MIB, 9 * MIB)
    assert memory.footprint_bytes == 6 * MIB
    assert memory.growth.value == pytest.approx(0)
    assert footprint(memory) == "6 (4 - 9)"
