"""Ends a process tree that holds more memory than it may.

Must not know: cases, what the tree does, any other way to keep a budget.
"""

from __future__ import annotations

import threading
from typing import Self

from bench.memory import MemorySampler, repeat
from bench.memory_metrics import read_resident
from loaders.process_tree import kill_tree, session_members

LOAD = 0.005
"""Looking takes at most this share of one core, beside the readings of the sampler."""


class Watchdog:
    """Ends a tree as soon as its private and shared memory exceeds a budget.

    It looks at counters that are quick to read, every 20 ms or less often, and only if they alarm
    takes the reading that proves it: the counters have shared pages once for each process.

    Args:
        sampler: reads the tree.
        pid: the root of the tree, which leads a session.
        baseline: private and shared memory at the baseline, in bytes.
        budget_bytes: over the baseline.
    """

    def __init__(
        self, sampler: MemorySampler, pid: int, *, baseline: int, budget_bytes: int
    ) -> None:
        self._sampler = sampler
        self._pid = pid
        self._baseline = baseline
        self._limit = baseline + budget_bytes
        self._stop = threading.Event()
        self._thread = threading.Thread(
            target=repeat,
            args=(self._look, self._stop),
            kwargs={"load": LOAD},
            name="memory-watchdog",
            daemon=True,
        )
        self.excess_bytes: int | None = None
        """What the tree held over the baseline by the reading for which it was ended; `None`: it
        was not."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        if self.excess_bytes is not None:
            return
        # Members of the session; a reading also has those who left it.
        counted = [read_resident(process.pid) for process in session_members(self._pid)]
        known = [now.private for now in counted if now is not None]
        if known and max(sum(known), self._sampler.counted_bytes()) <= self._limit:
            return
        self._sampler.read()
        held = self._sampler.counted_bytes()
        if held > self._limit:
            self.excess_bytes = held - self._baseline
            kill_tree(self._pid)
