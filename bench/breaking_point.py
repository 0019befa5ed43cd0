"""The search for the size of a source at which a loader dies under its memory budget.

Pure functions. Must not know: how a size is tried.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from bench.footprint import died_of_budget, footprint_bytes

TOLERANCE = 0.05
"""The search ends where the smallest size that died is at most so much above one that did not."""

_MARGIN = 0.02
"""A prediction is tried so much below and above it, which ends the search if it is right."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One size that was tried."""

    samples: int
    survived: bool
    footprint_bytes: int | None

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Self | None:
        """Return what a memory case in `run.json` says; `None` where it says nothing."""
        if record["outcome"] != "ok" and not died_of_budget(record):
            return None
        return cls(
            samples=record["case"]["samples"],
            survived=record["outcome"] == "ok",
            footprint_bytes=footprint_bytes(record.get("memory")),
        )


def bracket(trials: Sequence[Trial]) -> tuple[int, int | None]:
    """Return the largest size that survived below the smallest that died, and that one.

    Returns:
        Samples; 0 where none survived, and `None` where none died.
    """
    died = min((trial.samples for trial in trials if not trial.survived), default=None)
    lived = [t.samples for t in trials if t.survived and (died is None or t.samples < died)]
    return max(lived, default=0), died


def next_size(trials: Sequence[Trial], *, budget_bytes: int, least: int) -> int | None:
    """Return the size to try next.

    Until one has survived, sizes fall by a factor of eight: some loaders die at any size. Then come
    sizes just below and above the predicted breaking point, and then the bracket is halved.

    Args:
        trials: what was tried so far.
        budget_bytes: over the baseline.
        least: a size below which nobody looks, at least 1.

    Returns:
        Samples; `None` where the bracket is narrow enough, or where nothing died.
    """
    low, high = bracket(trials)
    if high is None or high <= max(low * (1 + TOLERANCE), low + 1, least):
        return None
    if low == 0:
        return max(high // 8, least)
    predicted = _predict(trials, budget_bytes)
    if predicted is not None:
        margin = (high - low) * _MARGIN
        for size in (int(predicted * (1 - _MARGIN)), int(predicted * (1 + _MARGIN))):
            # A prediction at an end of the bracket was wrong: halving is sure to get on.
            if low + margin < size < high - margin:
                return size
    return (low + high) // 2


def _predict(trials: Sequence[Trial], budget_bytes: int) -> float | None:
    """Return where the footprint of those that survived would reach the budget."""
    lived = {
        trial.samples: trial.footprint_bytes
        for trial in trials
        if trial.survived and trial.footprint_bytes is not None and trial.footprint_bytes > 0
    }
    if not lived:
        return None
    sizes, footprints = np.array(list(lived)), np.array(list(lived.values()))
    if len(lived) == 1:
        return float(budget_bytes * sizes[0] / footprints[0])
    slope, at_zero = np.polyfit(sizes, footprints, 1)
    return float((budget_bytes - at_zero) / slope) if slope > 0 else None
