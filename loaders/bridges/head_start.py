"""How long a training step is left alone before the next batch is made.

A batch that is taken makes room for another one. Were that begun in the same moment, it would
compete with the training step that begins: on two cores it took a fifth off the rate.
Must not know: what waits, any framework.
"""

from __future__ import annotations

import time

GROUP = 32
"""Batches that wait equally long."""
SHORTEST_US = 100
LONGEST_US = 1000
_SHARE = 0.2


class HeadStart:
    """Follows the time from batch to batch: a fifth of it is waited, 100 to 1,000 microseconds.

    The shorter one of the last two groups' times counts, so that one pause, for a compilation or a
    validation, makes no batch late.
    """

    def __init__(self) -> None:
        self._began = 0.0
        self._seconds = 0.0, 0.0

    def of_group(self, index: int) -> int:
        """Return the microseconds to wait before each batch of a group that begins now.

        Args:
            index: of the group in its pass. The time before the first one is that between two
                passes, and counts for nothing.
        """
        now = time.perf_counter()
        if index:
            self._seconds = self._seconds[1], (now - self._began) / GROUP
        self._began = now
        return min(LONGEST_US, max(SHORTEST_US, int(1e6 * _SHARE * min(self._seconds))))
