"""The ratio between a figure of two runs, with its interval.

Pure functions.
"""

from __future__ import annotations

import math
from bisect import bisect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Self

import numpy as np
from scipy import stats

from keras_loader_bench.bench.statistics import CONFIDENCE


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """How many times as large a figure of a second run is as that of a first one."""

    value: float

    low: float | None
    """Lower end of its 95% interval; `None`: too few processes, or rounds, for one."""

    high: float | None
    """Upper end of the same interval; `None` together with `low`."""

    above: float | None = None
    """What the ratio is above in 95 of 100 repetitions: a bound on one side only."""

    below: float | None = None
    """What it is below in 95 of 100."""

    @classmethod
    def between_processes(cls, before: Iterable[float], after: Iterable[float]) -> Self:
        """Estimate the ratio of a figure from the processes of two runs.

        The interval is Welch's, of the difference of the means of logarithms.

        Args:
            before: the median of each process of one run, positive; at least `MIN_PROCESSES`.
            after: the same of the other run, in the same unit.
        """
        logs = [np.log(list(values)) for values in (before, after)]
        test = stats.ttest_ind(logs[1], logs[0], equal_var=False)
        both, one = (test.confidence_interval(c) for c in (CONFIDENCE, 2 * CONFIDENCE - 1))
        return cls(
            value=math.exp(logs[1].mean() - logs[0].mean()),
            low=math.exp(both.low),
            high=math.exp(both.high),
            above=math.exp(one.low),
            below=math.exp(one.high),
        )

    @classmethod
    def between(cls, before: Sequence[float], after: Sequence[float]) -> Self | None:
        """Estimate the ratio of the rounds of two processes, one of each run.

        The value is the median of the ratios of all pairs of rounds (Hodges and Lehmann's estimate
        of logarithms). The interval holds every ratio that Mann and Whitney's test does not reject.
        It assumes that the rounds of both runs have the same distribution but for a factor,
        whatever it is, and that rounds are independent. Hollander, Wolfe, Chicken: Nonparametric
        Statistical Methods, 3rd edition, section 4.3.

        Args:
            before: one positive number per round.
            after: the same of the other run, in the same unit.

        Returns:
            The estimate; `None` if one of the two has no round.

        Raises:
            ValueError: a number is not positive and finite.
        """
        if not before or not after:
            return None
        for values in (before, after):
            if not all(0 < value < math.inf for value in values):
                raise ValueError(f"Rounds must be positive and finite, got {list(values)}.")
        differences = np.sort(np.subtract.outer(np.log(after), np.log(before)), axis=None)
        low = high = None
        if cut := _cut(len(before), len(after)):
            low, high = (math.exp(differences[i]) for i in (cut - 1, -cut))
        return cls(value=math.exp(np.median(differences)), low=low, high=high)

    @property
    def apart(self) -> bool:
        """Whether the two differ: 1 is not in the interval."""
        return self.low is not None and self.high is not None and not self.low <= 1 <= self.high

    def moves_with(self, other: Ratio) -> bool:
        """Whether it changed in the direction of another ratio.

        That direction is known, so a bound on one side is enough, where there is one.
        """
        above = self.low if self.above is None else self.above
        below = self.high if self.below is None else self.below
        if above is None or below is None:
            return False
        return above > 1 if other.value > 1 else below < 1

    @property
    def smallest_change(self) -> float | None:
        """The change that these runs could just have shown, as a fraction; `None`: none.

        Either end of the interval, as far from the ratio as it is, had to get past 1.
        """
        if self.low is None or self.high is None:
            return None
        return max(self.value / self.low, self.high / self.value) - 1


@cache
def _cut(num_before: int, num_after: int) -> int:
    """Return how many of the sorted differences lie outside of the interval, at each end."""
    most = math.ceil(num_before * num_after / 2)
    rejected = range(most)  # the probability grows with U
    return bisect(rejected, 1 - CONFIDENCE, key=lambda u: _p_value(num_before, num_after, u))


def _p_value(num_before: int, num_after: int, u: int) -> float:
    """Return the probability of a U as far out as this one, or further, if nothing differs."""
    # So many values lie above all others, one above some of them, the rest below all.
    above, rest = divmod(u, num_after)
    others = np.arange(num_after, dtype=float)
    values = np.arange(num_before, dtype=float) - num_before
    if above:
        values[-above:] = num_after + np.arange(above)
    if rest:
        values[-above - 1] = rest - 0.5
    return float(stats.mannwhitneyu(values, others, method="exact").pvalue)
