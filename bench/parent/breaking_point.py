"""Searches for the number of samples at which a loader exceeds its memory budget.

Pure functions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from keras_loader_bench.bench.record.footprint import bracket, footprint_bytes
from keras_loader_bench.bench.record.schema import CaseRecord
from keras_loader_bench.bench.slope import Slope

TOLERANCE = 0.05
"""The search ends when the smallest failing size is within this share of the largest that fits."""

_MARGIN = 0.02
"""Sizes this share below and above a prediction are tried first; if right, the search ends."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One size that was tried."""

    samples: int
    survived: bool
    footprint_bytes: int | None

    @classmethod
    def from_record(cls, record: CaseRecord) -> Self | None:
        """Return the trial of a memory record; `None` if it shows no limit.

        A process that crashes or hangs under its budget counts as one that did not survive: that is
        where to go on, below it. The limit that reports state is between proven sizes.
        """
        if record.outcome != "ok" and not record.died_under_budget:
            return None
        return cls(
            samples=record.case.samples,
            survived=record.outcome == "ok",
            footprint_bytes=footprint_bytes(record.memory),
        )


def bracket_of(trials: Sequence[Trial]) -> tuple[int, int | None]:
    """Return the `bracket` of what was tried."""
    lived, died = ([t.samples for t in trials if t.survived is each] for each in (True, False))
    return bracket(lived, died)


def next_size(trials: Sequence[Trial], *, budget_bytes: int, least: int) -> int | None:
    """Return the size to try next.

    Until one has survived, sizes fall by a factor of eight: some loaders die at any size. Then come
    sizes just below and above the predicted breaking point; where the one below it dies, the size
    that would end the search if it survived. Then the bracket is halved.

    Args:
        trials: what was tried so far.
        budget_bytes: over the baseline.
        least: a size below which nobody looks, at least 1.

    Returns:
        Samples; `None` if the bracket is narrow enough or nothing failed.
    """
    low, high = bracket_of(trials)
    if high is None or high <= max(low * (1 + TOLERANCE), low + 1, least):
        return None
    if low == 0:
        return max(high // 8, least)
    predicted = _predict(trials, budget_bytes)
    if predicted is not None:
        margin = (high - low) * _MARGIN
        below, above = int(predicted * (1 - _MARGIN)), int(predicted * (1 + _MARGIN))
        if high == below and low < high / (1 + TOLERANCE):
            return math.ceil(high / (1 + TOLERANCE))
        for size in (below, above):
            # A prediction at an end of the bracket was wrong: halving is sure to get on.
            if low + margin < size < high - margin:
                return size
    return (low + high) // 2


def _predict(trials: Sequence[Trial], budget_bytes: int) -> float | None:
    """Return the size at which the fitted footprint would reach the budget."""
    lived = {
        trial.samples: trial.footprint_bytes
        for trial in trials
        if trial.survived and trial.footprint_bytes is not None and trial.footprint_bytes > 0
    }
    if not lived:
        return None
    if len(lived) == 1:
        (samples, held) = lived.popitem()
        return budget_bytes * samples / held
    line = Slope.through(lived.items())
    return line.reaches(budget_bytes) if line else None
