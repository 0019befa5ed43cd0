"""The ceiling is measured as if it were a loader; what it shows is what noise alone does."""

from dataclasses import replace

import pytest
import suite
from made_runs import raw_run

from keras_loader_bench.bench.compare.pairs import pair_cases
from keras_loader_bench.bench.plan.case import CEILING, Case
from keras_loader_bench.bench.record.reader import parse_run
from keras_loader_bench.bench.record.schema import SCHEMA
from keras_loader_bench.bench.report.figures.resolution import resolutions
from keras_loader_bench.bench.report.figures.rows import rows_from_run
from keras_loader_bench.bench.report.report_markdown import report_markdown
from keras_loader_bench.bench.report.sections.stability import stability_warnings

OPTIONS = {"backend": "jax", "batch_size": 64, "pixels": "float32", "samples": 1000}

finished = suite.Job(
    __name__,
    *("--loaders", "sequence", "--processes", "3", "--rounds", "2", "--round-seconds", "0.05"),
    *("-k", "feed"),
).fixture()


def a_run(*utilizations):
    """The ceiling against itself, with one AU per process."""
    case = {"bench": "feed", "loader": CEILING} | OPTIONS
    processes = [
        {"number": n, "rounds": [{"samples": 1000, "seconds": 1.0, "ceiling_seconds": au}]}
        for n, au in enumerate(utilizations, start=1)
    ]
    record = {"id": str(Case(**case)), "case": case, "outcome": "ok", "processes": processes}
    return parse_run(raw_run([record], schema=SCHEMA))


def test_the_resolution_is_how_far_the_interval_reaches_around_one():
    (found,) = resolutions(a_run(0.98, 1.0, 1.03))
    assert found.sound
    low, high = found.utilization.low, found.utilization.high
    assert found.reach == pytest.approx(max(1 / low, high) - 1)
    text = report_markdown(a_run(0.98, 1.0, 1.03), [], [], plots=[])
    assert f"| {found.reach:.0%} |" in text.partition("## Resolution")[2]


def test_a_ceiling_that_is_not_itself_is_warned_of():
    unsound = a_run(0.80, 0.81, 0.82)
    assert not resolutions(unsound)[0].sound
    assert any("The ceiling differs from itself" in text for text in stability_warnings(unsound))
    sound = stability_warnings(a_run(0.99, 1.0, 1.02))
    assert not any("differs from itself" in text for text in sound)


def test_two_processes_have_no_resolution():
    (found,) = resolutions(a_run(0.9, 1.1))
    assert (found.reach, found.sound) == (None, True)


def test_rows_know_the_resolution_of_their_run():
    case = {"bench": "feed", "loader": "sequence"} | OPTIONS
    run = a_run(0.98, 1.0, 1.03)
    loader = {"id": str(Case(**case)), "case": case, "outcome": "ok"}
    rounds = [{"samples": 1000, "seconds": 1.0, "ceiling_seconds": 0.5}]
    processes = [{"number": n, "rounds": rounds} for n in (1, 2, 3)]
    other = parse_run(raw_run([loader | {"processes": processes}], schema=SCHEMA)).cases[0]
    (row,) = rows_from_run(replace(run, cases=[*run.cases, other]))
    (found,) = resolutions(run)
    assert row.feed.utilization.resolution == found.reach > 0


def test_the_ceiling_is_no_row_and_is_compared_with_nothing():
    run = a_run(0.98, 1.0, 1.03)
    assert rows_from_run(run) == []
    assert pair_cases(run, run).pairs == ()


@pytest.mark.long
def test_a_run_measures_it_once_for_each_set_of_options(finished):
    (ceiling,) = [case for case in finished.run.cases if case.case.loader == CEILING]
    assert ceiling.outcome == "ok"
    assert ceiling.audit is None
    assert [len(process.rounds) for process in ceiling.processes] == [2, 2, 2]
    (found,) = resolutions(finished.run)
    assert 0.3 < found.utilization.median < 3
    assert "## Resolution" in finished.report
    assert {row.loader for row in rows_from_run(finished.run)} == {"sequence"}
