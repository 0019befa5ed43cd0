"""The progress says where a run is, in lines that suit where they go."""

import io
import re

import pytest

from keras_loader_bench.bench.parent.progress import Progress, expected_seconds, plan_text
from keras_loader_bench.bench.plan.case import Case
from keras_loader_bench.bench.plan.matrix import cases_of
from keras_loader_bench.bench.plan.protocol import Protocol


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


LONG = Protocol(processes=1, rounds=12, round_seconds=1.0)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


CASES = cases_of(
    "feed",
    {
        "backend": ["tensorflow"],
        "loader": ["numpy", "sequence"],
        "batch_size": [64],
        "pixels": ["float32"],
        "samples": [512],
    },
)


def run_one_case(progress, clock, case):
    progress.begin(case, 1)
    progress.step("start")
    for number in range(1, 13):
        clock.now += 4
        progress.round(number, 12, 41234.5)
    progress.end("ok")


def test_plain_lines_are_few_and_whole(clock):
    stream = io.StringIO()
    progress = Progress({"feed": 2}, LONG, stream=stream, clock=clock)
    run_one_case(progress, clock, CASES[0])
    lines = stream.getvalue().splitlines()
    assert lines[0] == (
        "[1/2] feed-tensorflow-numpy-w0-b64-float32-n512: start; 0:00 so far, about 0:48 left"
    )
    assert lines[1] == (
        "[1/2] feed-tensorflow-numpy-w0-b64-float32-n512: round 3/12, 41,234 samples/s; "
        "0:12 so far, about 0:36 left"
    )
    assert lines[-1].endswith("ok after 48 s, 41,234 samples/s; 0:48 so far, about 0:48 left")
    assert len(lines) <= 7


def test_of_several_processes_it_is_said_which(clock):
    stream = io.StringIO()
    several = Protocol(processes=5, rounds=12, round_seconds=1.0)
    progress = Progress({"feed": 10}, several, stream=stream, clock=clock)
    progress.begin(CASES[0], 3)
    progress.step("start")
    assert "[1/10] feed-tensorflow-numpy-w0-b64-float32-n512, process 3 of 5: start" in (
        stream.getvalue()
    )


def test_a_terminal_gets_one_line_that_is_rewritten(clock):
    stream = Terminal()
    progress = Progress({"feed": 2}, LONG, stream=stream, clock=clock)
    run_one_case(progress, clock, CASES[0])
    assert stream.getvalue().count("\n") == 1
    assert stream.getvalue().count("\r") == 14


def test_the_estimate_learns_from_what_cases_took(clock):
    progress = Progress({"feed": 3}, LONG, stream=io.StringIO(), clock=clock)
    run_one_case(progress, clock, CASES[0])
    assert progress.seconds_left() == pytest.approx(2 * 48)
    run_one_case(progress, clock, CASES[1])
    assert progress.seconds_left() == pytest.approx(48)


def test_first_processes_which_are_audited_say_nothing_of_those_that_follow(clock):
    """A run of 10 minutes said that 47 were left."""
    several = Protocol(processes=3, rounds=1, round_seconds=1.0)
    progress = Progress({"feed": 6}, several, stream=io.StringIO(), clock=clock)
    shorter = expected_seconds("feed", several)
    run_one_case(progress, clock, CASES[0])  # 48 s, most of it the audit
    assert progress.seconds_left() == pytest.approx(48 + 4 * shorter)
    run_one_case(progress, clock, CASES[1])
    assert progress.seconds_left() == pytest.approx(4 * shorter)
    progress.begin(CASES[0], 2)
    clock.now += 5
    progress.end("ok")
    assert progress.seconds_left() == pytest.approx(3 * 5)


def test_a_case_that_was_not_planned_has_no_number(clock):
    stream = io.StringIO()
    progress = Progress({"feed": 2}, LONG, stream=stream, clock=clock)
    run_one_case(progress, clock, CASES[0])
    progress.begin(CASES[0], 1, planned=False)
    progress.end("refused")
    assert stream.getvalue().splitlines()[-1].startswith("[extra] feed-tensorflow-numpy")
    run_one_case(progress, clock, CASES[1])
    assert "[2/2] feed-tensorflow-sequence" in stream.getvalue()


def test_processes_that_will_not_be_started_are_not_counted(clock):
    stream = io.StringIO()
    progress = Progress({"feed": 4}, Protocol(processes=2), stream=stream, clock=clock)
    progress.leave_out(CASES[0], 2)
    run_one_case(progress, clock, CASES[1])
    assert "[1/2] feed-tensorflow-sequence" in stream.getvalue()
    left = progress.seconds_left()
    progress.leave_out(CASES[1], 1)
    assert left > 0 == progress.seconds_left()


def test_a_plan_counts_no_case_that_would_be_skipped(monkeypatch):
    monkeypatch.setattr(Case, "missing", property(lambda case: "no such package"))
    *cases, total = plan_text(CASES, Protocol()).splitlines()
    assert all(line.endswith(": skipped, no such package") for line in cases)
    assert total.startswith(f"0 cases and {len(CASES)} skipped, about 0:00 minutes")


def test_a_plan_says_what_would_be_measured_and_how_long():
    text = plan_text(CASES, Protocol(processes=3, rounds=10, round_seconds=1.0))
    *cases, total = text.splitlines()
    assert cases == [f"[{n}/{len(CASES)}] {case}" for n, case in enumerate(CASES, start=1)]
    minutes, _, seconds = re.search(r"about (\d+):(\d\d)", total)[0][6:].partition(":")
    assert 60 * int(minutes) + int(seconds) == pytest.approx(
        len(CASES) * (3 * (4 + 17) + 8) + 12, abs=1
    )  # of each an audit, and one import
    assert "breaking point" not in total
    budget = plan_text(CASES[:1], Protocol(memory_budget_bytes=2**30))
    assert "1 case, about" in budget
    assert "search for breaking points takes more time" in budget
    assert plan_text([], Protocol()) == "Nothing is left to measure."
