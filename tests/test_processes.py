"""Every case is measured in several processes, spread over the run, and stays one result."""

import json

import pytest
import suite

from keras_loader_bench.bench.report.figures.rows import rows_from_run

pytestmark = pytest.mark.long

finished = suite.faulty(
    __name__,
    *("--loaders", "lacking,later,numpy,sequence", "--processes", "3", "--rounds", "2"),
    *("--round-seconds", "0.05", "-k", "feed", "--benchmark-json", "FOLDER/benchmark.json"),
).fixture()

GOOD = ("numpy", "sequence")


def test_every_process_is_on_record_with_its_rounds_and_orders_of_its_own(finished):
    for loader in GOOD:
        case = finished.case(loader)
        assert case.outcome == "ok"
        assert [process.number for process in case.processes] == [1, 2, 3]
        assert {process.outcome for process in case.processes} == {"ok"}
        assert [len(process.rounds) for process in case.processes] == [2, 2, 2]
        epochs = [each.epoch for each in case.rounds]
        assert len(set(epochs)) == len(epochs)
        assert len({each.samples for each in case.rounds}) == 1, "the first one sets the size"
        assert case.audit.identical
        assert case.duration_s == pytest.approx(sum(p.duration_s for p in case.processes), abs=0.01)


def test_passes_follow_each_other(finished):
    lines = [line for line in finished.output.splitlines() if ": ok after" in line]
    passes = [int(line.partition("process ")[2][0]) for line in lines]
    assert passes == sorted(passes)
    assert passes.count(2) == passes.count(3) == len([*GOOD, "ceiling"])


def test_a_case_that_is_skipped_counts_once_in_the_progress(finished):
    """Three processes each of three loaders and of the ceiling; one loader lacks its package."""
    assert finished.case("lacking").outcome == "skipped"
    assert "[1/13] " in finished.output


def test_every_figure_has_an_interval_of_its_processes(finished):
    for row in rows_from_run(finished.run):
        if row.loader in GOOD:
            for figure in (row.feed.rate, row.feed.utilization, row.feed.time_to_first_batch_s):
                assert figure.n == 3
                assert figure.low < figure.median < figure.high


def test_a_process_that_fails_ends_its_case_and_is_named(finished):
    case = finished.case("later")
    assert case.outcome == "failed"
    assert [process.outcome for process in case.processes] == ["ok", "failed"]
    assert case.error.process == 2
    assert "once was enough (process 2 of the case)" in finished.output
    assert finished.exit_status == pytest.ExitCode.TESTS_FAILED
    assert "process 2" in finished.report


def test_pytest_benchmark_has_one_result_per_case_with_the_rounds_of_all_processes(finished):
    results = json.loads((finished.folder.parent / "benchmark.json").read_text())["benchmarks"]
    assert len(results) == len(GOOD) + len(["later", "ceiling"])
    for loader in GOOD:
        (result,) = [each for each in results if f"-{loader}-" in each["name"]]
        seconds = [each.seconds for each in finished.case(loader).rounds]
        assert result["stats"]["data"] == pytest.approx(seconds)
        assert result["extra_info"]["identical"] is True
        assert result["extra_info"]["samples_per_s"] > 0
