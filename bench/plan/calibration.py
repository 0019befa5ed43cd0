"""Finds the number of batches and epochs per round by fitting a few. Pure functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from keras_loader_bench.bench.plan.case import Case

MOST_TRIES = 8

LONG_ENOUGH = 0.2
"""Of a round: a `fit` that takes so long tells how many batches a round has."""


@dataclass(frozen=True, kw_only=True)
class RoundLimits:
    """What bounds the rounds of a case."""

    least: int
    """Batches to begin with."""

    most: int
    """Batches of an epoch."""

    whole_epochs: bool
    """Whether a round is one or more whole epochs, as on an accelerator."""


def limits_of(case: Case, samples: int, *, on_accelerator: bool) -> RoundLimits:
    """Return what bounds the rounds of a case.

    Args:
        case: the case.
        samples: of an epoch of one process.
        on_accelerator: whether the backend uses one.
    """
    most = math.ceil(samples / case.batch_size)
    return RoundLimits(
        least=min(2 * case.steps_per_execution, most),
        most=most,
        whole_epochs=on_accelerator and case.step_ms is None,
    )


def calibrated(
    fit: Callable[[int], float],
    limits: RoundLimits,
    *,
    seconds: float,
    accelerator_seconds: float,
    fewest: int = 1,
) -> tuple[int, int]:
    """Warm up; return how many batches an epoch of a round has, and how many epochs it has.

    Args:
        fit: fits so many batches and returns the seconds that it took.
        limits: of the case.
        seconds: about the length of a round that is a part of an epoch.
        accelerator_seconds: the shortest length of a round of whole epochs.
        fewest: batches of a round that is a part of an epoch, where an epoch has so many.
    """
    fit(limits.least)  # traces: its time says nothing
    if limits.whole_epochs:
        return limits.most, epochs_of_round(lambda: fit(limits.most), accelerator_seconds)
    batches = batches_of_round(fit, seconds, least=limits.least, most=limits.most)
    return min(max(batches, fewest), limits.most), 1


def batches_of_round(fit: Callable[[int], float], seconds: float, *, least: int, most: int) -> int:
    """Return how many batches a loader delivers in about a given time.

    Args:
        fit: fits so many batches and returns the seconds that it took.
        seconds: length of a round.
        least: batches to begin with.
        most: batches of an epoch.
    """
    batches, start = least, 0.0
    for _ in range(MOST_TRIES):
        # Of two: one slow round alone would make all rounds too short.
        elapsed = (fit(batches) + fit(batches)) / 2
        if batches == least:
            wanted = batches * seconds / elapsed
            start = elapsed  # a short round is little else
        else:
            each = max(elapsed - start, 0.0) / (batches - least)
            wanted = least + (seconds - start) / each if each else math.inf
        # What is far from the length of a round promises little.
        enough = min(max(1, int(min(wanted, 8 * batches))), most)
        if enough == batches or elapsed > LONG_ENOUGH * seconds:
            return enough
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
