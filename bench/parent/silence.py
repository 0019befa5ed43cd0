"""Notices a child that gives no sign of life long before the time of its case is over."""

from __future__ import annotations

import contextlib
import faulthandler
import os
import signal
import time

import psutil

from keras_loader_bench.loaders.launchers import RELAYS

WITHOUT_LOADER = frozenset({"import_framework", "make_model", "make_ceiling"})
"""Requests of which no step can be told, as they compile and import; no loader takes part yet."""

STOPPED = "is stopped (SIGSTOP)"

_BEAT_S = 3.0
"""A thread that has not run for so long cannot run."""

_BUSY = 0.2
"""Of one core; a process that takes less waits."""

_DUMP_S = 0.5
"""What a process needs to print its stacks."""


class Silence:
    """Follows one child: a sign of life is an answer, or a batch that its model has taken.

    That a process takes CPU time is none: an endless loop does.

    Args:
        pid: the child.
        limit_s: seconds without a sign that are too many.
    """

    def __init__(self, pid: int, limit_s: float) -> None:
        self._pid = pid
        self._limit_s = limit_s
        self._steps = -1
        self._since = self._beat = time.monotonic()
        self._halfway: tuple[float, float] | None = None

    def begin(self) -> None:
        """Note that a request is sent."""
        self._since = self._beat = time.monotonic()
        self._halfway = None

    def sign(self, steps: int) -> None:
        """Note that the child's own thread lives, and how many batches its models have taken."""
        self._beat = time.monotonic()
        if steps != self._steps:
            self._steps, self._since, self._halfway = steps, self._beat, None

    def look(self, method: str) -> str | None:
        """Return what a child does that has been silent for too long, else `None`.

        Args:
            method: the request that it does not answer.
        """
        now = time.monotonic()
        if method in WITHOUT_LOADER or now - self._since < self._limit_s / 2:
            return None
        if self._halfway is None:
            self._halfway = now, self._cpu_seconds()
        if now - self._since < self._limit_s:
            return None
        doing = self._doing(now)
        if doing != STOPPED and hasattr(faulthandler, "register"):
            self._dump_stacks()
            doing += "; its log has the stacks of its threads"
        return (
            f"no batch and no answer to `{method}` for {self._limit_s:g} s: the child {doing}. "
            "Use a larger --silence-timeout if it is only slow."
        )

    def _doing(self, now: float) -> str:
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(self._pid)
            if process.status() == psutil.STATUS_STOPPED:
                return STOPPED
            if not {*RELAYS}.isdisjoint(process.cmdline()):
                return "runs elsewhere, and what it does there is not known"
        assert self._halfway is not None
        start, cpu_seconds = self._halfway
        if self._cpu_seconds() - cpu_seconds < _BUSY * (now - start):
            return "waits and takes no CPU time"
        if now - self._beat > _BEAT_S:
            return "is busy and does not let go of Python's lock"
        return "is busy, and its other threads run"

    def _cpu_seconds(self) -> float:
        with contextlib.suppress(psutil.Error):
            times = psutil.Process(self._pid).cpu_times()
            return float(times.user + times.system)
        return 0.0

    def _dump_stacks(self) -> None:
        """Ask for the stacks, which the child's `faulthandler` prints without Python's lock."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGUSR1)
            time.sleep(_DUMP_S)
