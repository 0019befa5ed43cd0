"""Counts the batches of a stage, and reports how many have come from time to time."""

from __future__ import annotations

import time
from collections.abc import Callable

from keras_loader_bench.loaders.audit.batches.records import Arrays

INTERVAL_S = 1.0


class BatchCounter:
    """Reports the number of batches that a stage has had, `INTERVAL_S` apart.

    Args:
        report: called with every event.
    """

    def __init__(self, report: Callable[..., None]) -> None:
        self._report = report
        self.begin()

    def begin(self) -> None:
        """Begin a stage."""
        self.batches = 0
        """Batches that the stage has had."""
        self._next = 0.0

    def count(self) -> None:
        """Count one batch."""
        self.batches += 1
        now = time.monotonic()
        if now >= self._next:
            self._next = now + INTERVAL_S
            self._report("progress", batches=self.batches)

    def counted(self, record: Callable[[Arrays], None]) -> Callable[[Arrays], None]:
        """Return a function that records a batch, and counts it."""

        def record_and_count(batch: Arrays) -> None:
            record(batch)
            self.count()

        return record_and_count
