"""The clock that pytest-benchmark reads: it moves by what was measured.

All cases are measured before the first test ends, pass by pass, and by a clock in their own
processes. pytest-benchmark gets the seconds of a case's rounds when its test has its turn.
"""

from __future__ import annotations


class RecordedClock:
    """Stands still until somebody advances it."""

    def __init__(self) -> None:
        self._now = 0.0

    def __call__(self) -> float:
        """Return its time in seconds."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let so much time pass."""
        self._now += seconds


CLOCK = RecordedClock()
"""The clock of the benchmarks' tests, which name it in their marker."""
