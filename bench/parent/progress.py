"""Shows the progress of a run: the case, its rate, the time so far and the time left.

On a terminal one line is rewritten; elsewhere a few plain lines are printed per case.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TextIO

from keras_loader_bench.bench.plan.case import CEILING, Case
from keras_loader_bench.bench.plan.protocol import Protocol

PLAIN_PERIOD_S = 10.0
START_SECONDS = 12.0
"""First estimate of the time that a new interpreter takes, until real durations are known."""

FORK_SECONDS = 4.0
"""The same for a process that is forked."""


AUDIT_SECONDS = 8.0
"""What an audit takes; there is one for all cases that need the same."""


class Progress:
    """Follows a run through its cases.

    Args:
        counts: number of processes of cases per benchmark.
        protocol: the protocol, for the first estimate of the time left.
        stream: the stream to write to.
        clock: a monotonic clock in seconds.
    """

    def __init__(
        self,
        counts: Mapping[str, int],
        protocol: Protocol,
        *,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._waiting = dict(counts)
        # The first process of a case also has its audit, or more rounds of memory.
        self._firsts = {
            bench: -(-count // protocol.processes_of(bench)) for bench, count in counts.items()
        }
        self._total = sum(counts.values())
        self._protocol = protocol
        self._stream = sys.stderr if stream is None else stream
        self._clock = clock
        self._start = self._case_start = clock()
        self._number = 0
        self._title = ""
        self._running: tuple[str, bool] | None = None
        self._rate = ""
        self._durations: dict[tuple[str, bool], list[float]] = {}
        self._last_plain = float("-inf")

    def note(self, text: str) -> None:
        """Print a message that belongs to no case."""
        self._stream.write(f"{text}\n")
        self._stream.flush()

    def begin(self, case: Case, process: int, *, planned: bool = True) -> None:
        """Start a process of a case; one that was not planned has no number."""
        self._number += planned
        number = f"{self._number}/{self._total}" if planned else "extra"
        of = self._protocol.processes_of(case.bench)
        which = f", process {process} of {of}" if planned and of > 1 else ""
        self._title = f"[{number}] {case}{which}"
        first = process == 1
        self._waiting[case.bench] -= planned
        self._firsts[case.bench] -= planned and first
        self._running = case.bench, first
        self._case_start = self._clock()
        self._rate = ""
        self._last_plain = float("-inf")

    def leave_out(self, case: Case, processes: int) -> None:
        """Count no more on some processes of a case, which will not be started."""
        self._total -= processes
        self._waiting[case.bench] -= processes

    def step(self, what: str) -> None:
        """Show what the running case does, other than rounds."""
        self._show(what)

    def round(self, number: int, of: int, samples_per_s: float) -> None:
        """Show the end of a round of the running case."""
        self._rate = f", {samples_per_s:,.0f} samples/s"
        self._show(f"round {number}/{of}{self._rate}")

    def end(self, outcome: str) -> None:
        """Show the end of the running process."""
        duration = self._clock() - self._case_start
        if self._running is not None:
            self._durations.setdefault(self._running, []).append(duration)
            self._running = None
        self._show(f"{outcome} after {duration:.0f} s{self._rate}", last=True)

    def seconds_left(self) -> float:
        """Estimate the seconds until the last case ends."""
        left = 0.0
        for bench, count in self._waiting.items():
            firsts = min(max(0, self._firsts[bench]), count)
            left += firsts * self._expected_seconds(bench, True)
            left += (count - firsts) * self._expected_seconds(bench, False)
        if self._running is not None:
            so_far = self._clock() - self._case_start
            left += max(0.0, self._expected_seconds(*self._running) - so_far)
        return left

    def _expected_seconds(self, bench: str, first: bool) -> float:
        done = self._durations.get((bench, first))
        if done:
            return sum(done) / len(done)
        return expected_seconds(bench, self._protocol)

    def _show(self, what: str, *, last: bool = False) -> None:
        now = self._clock()
        line = (
            f"{self._title}: {what}; "
            f"{_clock_text(now - self._start)} so far, "
            f"about {_clock_text(self.seconds_left())} left"
        )
        if self._stream.isatty():
            # A line that wraps could not be rewritten.
            fitting = line[: shutil.get_terminal_size().columns - 1]
            self._stream.write(f"\r\x1b[2K{fitting}" + ("\n" if last else ""))
        elif last or now - self._last_plain >= PLAIN_PERIOD_S:
            self._stream.write(line + "\n")
            self._last_plain = now
        self._stream.flush()


def expected_seconds(bench: str, protocol: Protocol) -> float:
    """Return a first estimate of the seconds that a process of a case takes."""
    if bench == "memory":
        return START_SECONDS + protocol.memory_rounds * protocol.memory_round_samples / 40_000
    # Each loader round has a ceiling round beside it, which is shorter.
    return FORK_SECONDS + 1.7 * protocol.rounds * protocol.round_seconds_of(bench)


def plan_text(cases: Sequence[Case], protocol: Protocol) -> str:
    """List the cases of a run and estimate its time.

    Args:
        cases: the cases of a run.
        protocol: the protocol of the run.
    """
    if not cases:
        return "Nothing is left to measure."
    reasons = [case.missing or case.unsupported for case in cases]
    runnable = [case for case, reason in zip(cases, reasons, strict=True) if reason is None]
    seconds = sum(
        protocol.processes_of(case.bench) * expected_seconds(case.bench, protocol)
        for case in runnable
    )
    audits = {case.audited for case in runnable if case.loader != CEILING}
    imports = {case.backend for case in runnable if case.bench != "memory"}
    seconds += AUDIT_SECONDS * len(audits) + START_SECONDS * len(imports)
    lines = [
        f"[{number}/{len(cases)}] {case}" + (f": skipped, {reason}" if reason else "")
        for number, (case, reason) in enumerate(zip(cases, reasons, strict=True), start=1)
    ]
    skipped = len(cases) - len(runnable)
    total = (
        f"{len(runnable)} case{'s' if len(runnable) != 1 else ''}"
        f"{f' and {skipped} skipped' if skipped else ''}, about {_clock_text(seconds)} "
        "minutes (an estimate; slow sources and downloads take longer)."
    )
    if protocol.memory_budget_bytes is not None:
        total += " The search for breaking points takes more time."
    return "\n".join([*lines, total])


def _clock_text(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"
