"""A case that fails is a failed test and a row in the report, and the next case runs."""

import re

import pytest
import suite

from keras_loader_bench.bench.report import write_report

pytestmark = pytest.mark.long

OUTCOMES = {
    "raises": "failed",
    "killed": "crashed",
    "hangs": "timeout",
    "drops": "failed",
    "broken": "failed",
    "lacking": "skipped",
    "known": "audit_failed",
    "swaps": "audit_failed",
    "sequence": "ok",
}


# One run of loaders that go wrong, and of one that does not, which comes last.
finished = suite.faulty(
    __name__,
    *("--loaders", ",".join(OUTCOMES)),
    *("--rounds", "20", "--round-seconds", "0.05", "-k", "feed"),
).fixture()


def test_every_way_of_failing_has_its_outcome(finished):
    assert {case.case.loader: case.outcome for case in finished.run.cases} == OUTCOMES
    assert finished.run.status == "complete"
    assert finished.exit_status == pytest.ExitCode.TESTS_FAILED


def test_the_childs_traceback_and_log_reach_the_terminal_and_the_record(finished):
    error = finished.case("raises").error
    assert (error.type, error.message) == ("OSError", "the disk is on fire")
    for text in (error.traceback, finished.output):
        assert "faulty_loaders.py" in text
        assert "OSError: the disk is on fire" in text
    assert "about to raise" in error.log_tail
    assert "about to raise" in finished.output


def test_a_signal_has_its_name(finished):
    assert finished.case("killed").error.signal == "SIGKILL"
    assert "SIGKILL" in finished.output


def test_a_hang_ends_at_the_timeout(finished):
    case = finished.case("hangs")
    assert 25 <= case.duration_s < 35
    assert "--case-timeout" in case.error.message


def test_rounds_that_lose_samples_fail(finished):
    message = finished.case("drops").error.message
    saw, expected = map(int, re.findall(r"saw (\d+) samples.* deliver (\d+)\.", message)[0])
    assert saw == expected - 1


def test_a_wrong_order_fails_the_audit_and_keeps_its_figures(finished):
    case = finished.case("swaps")
    assert not case.audit.identical
    assert case.audit.verdict == "other_order"
    assert case.audit.first_difference.startswith("fit, epoch 1, batch 0: sample 0 is sample")
    assert len(case.rounds) == finished.run.protocol.rounds


def test_a_known_failure_fails_no_run_but_its_audit(finished):
    case = finished.case("known")
    assert case.known_failure.reason == "It swaps."
    assert case.known_failure.link == "https://example.org/why"
    assert not case.audit.identical
    assert "FAILED bench/bench_feed.py::test_feed[feed-tensorflow-swaps" in finished.output
    assert "FAILED bench/bench_feed.py::test_feed[feed-tensorflow-known" not in finished.output
    assert "1 xfailed" in finished.output


def test_a_missing_package_skips_with_the_command_that_adds_it(finished):
    case = finished.case("lacking")
    assert case.error.type == "MissingPackage"
    assert "`pip install no_such_package`" in case.error.message
    assert "1 skipped" in finished.output
    assert "pip install no_such_package" in finished.report


def test_any_other_import_error_fails(finished):
    error = finished.case("broken").error
    assert error.type == "ModuleNotFoundError"
    assert "faulty_loaders_that_cannot_be_imported" in error.message


def test_rounds_measured_before_a_failure_are_kept(finished):
    for loader in ("raises", "killed", "hangs", "drops"):
        assert 0 < len(finished.case(loader).rounds) < 20
    assert len(finished.case("sequence").rounds) == finished.run.protocol.rounds


def test_no_process_outlives_its_case(finished):
    assert finished.left == []


def test_only_failed_cases_leave_their_logs(finished):
    results = finished.folder
    logs = {path.name.split("-")[2] for path in (results / "logs").iterdir()}
    assert logs == set(OUTCOMES) - {"sequence", "lacking"}
    assert write_report(results)
    assert (results / "report.md").read_text() == finished.report
    for loader in OUTCOMES:
        assert loader in finished.report
