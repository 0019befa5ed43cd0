"""Ends a process tree that exceeds its memory budget."""

from __future__ import annotations

from keras_loader_bench.bench.sensors.memory_sampler import MemorySampler
from keras_loader_bench.loaders.system.process_tree import kill_tree


class Watchdog:
    """Ends a tree as soon as its private and shared memory exceeds a budget.

    The sampler tells it what counters say that are quick to read, and only if they alarm it takes
    the reading that proves it: the counters have shared pages once for each process.

    Args:
        sampler: reads the tree; this becomes its guard.
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
        self.excess_bytes: int | None = None
        """What the tree held over the baseline by the reading for which it was ended; `None`: it
        was not."""
        sampler.guard = self._look

    def _look(self, counters: int | None) -> None:
        if self.excess_bytes is not None:
            return
        # The counters are those of the session; a reading also has processes that left it.
        if counters is not None and max(counters, self._sampler.counted_bytes()) <= self._limit:
            return
        self._sampler.read()
        held = self._sampler.counted_bytes()
        if held > self._limit:
            self.excess_bytes = held - self._baseline
            kill_tree(self._pid)
