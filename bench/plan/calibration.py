"""Finds the number of batches and epochs per round by fitting a few. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

MOST_TRIES = 8


@dataclass(frozen=True, kw_only=True)
class RoundLimits:
    """What bounds the rounds of a case."""

    least: int
    """Batches to begin with."""

    most: int
    """Batches of an epoch."""

    whole_epochs: bool
    """Whether a round is one or more whole epochs, as on an accelerator."""


def calibrated(
    fit: Callable[[int], float],
    limits: RoundLimits,
    *,
    seconds: float,
    accelerator_seconds: float,
) -> tuple[int, int]:
    """Warm up; return how many batches an epoch of a round has, and how many epochs it has.

    Args:
        fit: fits so many batches and returns the seconds that it took.
        limits: of the case.
        seconds: about the length of a round that is a part of an epoch.
        accelerator_seconds: the shortest length of a round of whole epochs.
    """
    fit(limits.least)  # traces: its time says nothing
    if limits.whole_epochs:
        return limits.most, epochs_of_round(lambda: fit(limits.most), accelerator_seconds)
    return batches_of_round(fit, seconds, least=limits.least, most=limits.most), 1


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
