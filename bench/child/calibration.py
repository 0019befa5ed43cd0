"""Finds the number of batches or epochs per round by fitting a few."""

from __future__ import annotations

import math
from collections.abc import Callable

MOST_TRIES = 8


def batches_of_round(fit: Callable[[int], float], seconds: float, *, least: int, most: int) -> int:
    """Return how many batches a loader delivers in about a given time.

    Args:
        fit: fits so many batches and returns the seconds that it took.
        seconds: length of a round.
        least: batches to begin with.
        most: batches of an epoch.
    """
    batches = least
    for _ in range(MOST_TRIES):
        # Of two: one slow round alone would make all rounds too short.
        elapsed = (fit(batches) + fit(batches)) / 2
        # A short round is mostly the start of `fit`: it promises too little for a long one.
        wanted = int(batches * min(seconds / elapsed, 8))
        enough = min(max(1, wanted), most)
        if enough == batches or seconds / 1.5 < elapsed < seconds * 1.5:
            break
        batches = enough
    return batches


def epochs_of_round(fit: Callable[[], float], seconds: float) -> int:
    """Return how many epochs of one `fit` take at least a given time.

    Args:
        fit: fits one epoch and returns the seconds that it took.
        seconds: shortest length of a round.
    """
    fit()  # compiles for the last batch too
    # A tenth more: epochs to come may be faster.
    return math.ceil(1.1 * seconds / fit())
