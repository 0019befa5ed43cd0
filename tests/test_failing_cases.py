"""A case that fails is a failed test and a row in the report, and the next case runs."""

import re

import pytest
import suite

from bench.report import write_report

OUTCOMES = {
    "raises": "failed",
    "killed": "killed",
    "hangs": "timeout",
    "drops": "failed",
    "swaps": "audit_failed",
    "sequence": "ok",
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """One run of loaders that go wrong, and of one that does not, which comes last."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        home = tmp_path_factory.mktemp("keras_home")
        monkeypatch.setenv("KERAS_HOME", str(home))
        done = suite.run(
            *("--loaders", ",".join(OUTCOMES)),
            *("--case-timeout", "25", "--rounds", "20", "--round-seconds", "0.05", "-k", "feed"),
            results=tmp_path_factory.mktemp("results") / "run",
            faulty=True,
        )
        done.home = home
        done.left = suite.processes_of(home)
    return done


def test_every_way_of_failing_has_its_outcome(finished):
    assert {case["case"]["loader"]: case["outcome"] for case in finished.run["cases"]} == OUTCOMES
    assert finished.run["status"] == "complete"
    assert finished.exit_status == pytest.ExitCode.TESTS_FAILED


def test_the_childs_traceback_and_log_reach_the_terminal_and_the_record(finished):
    error = finished.case("raises")["error"]
    assert (error["type"], error["message"]) == ("OSError", "the disk is on fire")
    for text in (error["traceback"], finished.output):
        assert "faulty_loaders.py" in text
        assert "OSError: the disk is on fire" in text
    assert "about to raise" in error["log_tail"]
    assert "about to raise" in finished.output


def test_a_signal_has_its_name(finished):
    assert finished.case("killed")["error"]["signal"] == "SIGKILL"
    assert "SIGKILL" in finished.output


def test_a_hang_ends_at_the_timeout(finished):
    case = finished.case("hangs")
    assert 25 <= case["duration_s"] < 35
    assert "--case-timeout" in case["error"]["message"]


def test_rounds_that_lose_samples_fail(finished):
    message = finished.case("drops")["error"]["message"]
    saw, expected = map(int, re.findall(r"saw (\d+) samples.* deliver (\d+)\.", message)[0])
    assert saw == expected - 1


def test_a_wrong_order_fails_the_audit_and_keeps_its_figures(finished):
    case = finished.case("swaps")
    assert not case["audit"]["identical"]
    assert case["audit"]["first_difference"].startswith("batch 0: other values or another order")
    assert len(case["rounds"]) == finished.run["protocol"]["rounds"]


def test_rounds_measured_before_a_failure_are_kept(finished):
    for loader in ("raises", "killed", "hangs", "drops"):
        assert 0 < len(finished.case(loader)["rounds"]) < 20
    assert len(finished.case("sequence")["rounds"]) == finished.run["protocol"]["rounds"]


def test_no_process_outlives_its_case(finished):
    assert finished.left == []


def test_only_failed_cases_leave_their_logs(finished):
    results = next(iter(finished.home.parent.glob("results*"))) / "run"
    logs = {path.name.split("-")[2] for path in (results / "logs").iterdir()}
    assert logs == set(OUTCOMES) - {"sequence"}
    report = (results / "report.md").read_text()
    assert write_report(results)
    assert (results / "report.md").read_text() == report
    for loader in OUTCOMES:
        assert loader in report
