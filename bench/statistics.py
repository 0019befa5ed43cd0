"""Medians, intervals and rankings of figures from a few noisy processes: pure functions.

Rounds of one process are skewed and come in clusters, and processes differ by more than their
rounds say. So a process counts as one value, the median of its rounds, and intervals come from the
differences between processes. Their logarithms are taken as normal: all figures are positive, and
differ by factors.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any, Self, TypeGuard

import numpy as np

CONFIDENCE = 0.95
"""Share of repetitions in which an interval covers the true median, at least."""

MIN_ROUNDS = 6
"""With fewer rounds not even the whole range reaches `CONFIDENCE`: 1 - 2 / 2**5 is 0.9375."""

MIN_PROCESSES = 3
"""With two, Student's interval is 18 times as wide as the two are apart."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The median of a figure and how far it can be trusted, in the unit of its rounds."""

    median: float
    """Of the processes' medians, or of the rounds of the only process."""

    low: float | None
    """Lower end of its 95% interval; `None`: too few processes, or rounds, for one."""

    high: float | None
    """Upper end of the same interval; `None` together with `low`."""

    n: int
    """Number of processes, or of the rounds of the only process; at least 1."""

    by_pass: Mapping[int, float] = field(default_factory=dict)
    """Number of a pass -> the median of its process; empty where there was one process only."""

    resolution: float = 0.0
    """What noise alone did to such a figure in its run: ratios nearer to 1 are not told apart."""

    @classmethod
    def from_processes(cls, processes: Mapping[int, Sequence[float]]) -> Self | None:
        """Estimate a figure from the rounds of several processes.

        The interval is Student's, of the mean of the logarithms of the processes' medians. It
        covers what differs from process to process and drifts over the run. One process alone has
        the interval of `from_values`, which covers its rounds and nothing else.

        Args:
            processes: number of a pass -> the values of the rounds of its process.

        Returns:
            The estimate, without an interval for fewer than `MIN_PROCESSES` processes; `None` if
            none has a round.
        """
        by_pass = {number: float(np.median(each)) for number, each in processes.items() if each}
        if not by_pass:
            return None
        if len(by_pass) == 1:
            return cls.from_values(value for each in processes.values() for value in each)
        values = list(by_pass.values())
        low = high = None
        if len(values) >= MIN_PROCESSES:
            positive = min(values) > 0  # a share of pages in memory may be 0
            mean, half = _student([math.log(each) for each in values] if positive else values)
            low, high = mean - half, mean + half
            if positive:
                low, high = math.exp(low), math.exp(high)
        middle = float(np.median(values))
        return cls(median=middle, low=low, high=high, n=len(values), by_pass=by_pass)

    @property
    def shortage(self) -> str:
        """What there is too little of, if there is no interval."""
        return "too few processes" if self.by_pass else "too few rounds"

    @classmethod
    def from_values(cls, values: Iterable[float]) -> Self:
        """Estimate the median of the population that the values were drawn from.

        The ends of the interval are order statistics (`scipy.stats.quantile_test`), so they are
        values that were measured, and they cover the true median in at least 95 of 100
        repetitions whatever the distribution, as long as rounds are independent.

        Args:
            values: one finite number per round, in one unit.

        Returns:
            The estimate, without an interval for fewer than `MIN_ROUNDS` values.

        Raises:
            ValueError: there is no value, or one is not finite.
        """
        rounds = np.asarray(list(values), dtype=np.float64)
        if rounds.size == 0:
            raise ValueError("`values` must hold at least one round, got none.")
        if not np.isfinite(rounds).all():
            raise ValueError(f"`values` must be finite, got {rounds.tolist()}.")
        low = high = None
        if rounds.size >= MIN_ROUNDS:
            from scipy import stats  # loads for a second, and a run starts without it

            # scipy-stubs types its interval as float.
            test: Any = stats.quantile_test(rounds, p=0.5)
            interval = test.confidence_interval(CONFIDENCE)
            low, high = float(interval.low), float(interval.high)
        return cls(median=float(np.median(rounds)), low=low, high=high, n=int(rounds.size))

    @property
    def ends(self) -> tuple[float, float]:
        """Both ends of the interval; the median twice where there is none."""
        if self.low is None or self.high is None:
            return self.median, self.median
        return self.low, self.high

    @property
    def half_width(self) -> float | None:
        """Half the width of the interval as a fraction of the median; `None`: there is none."""
        if self.low is None or self.high is None or self.median == 0:
            return None
        return (self.high - self.low) / 2 / abs(self.median)

    def apart_from(self, other: Estimate) -> bool:
        """Whether the two are clearly different.

        Processes of one pass are neighbours in time: what drifts over the run changes both. So
        their ratios decide where there are enough, and otherwise whether the intervals are apart.
        """
        if found := self._log_ratio(other):
            mean, half = found
            return abs(mean) > max(half, math.log1p(max(self.resolution, other.resolution)))
        if self.low is None or self.high is None or other.low is None or other.high is None:
            return False
        return self.low > other.high or other.low > self.high

    def _log_ratio(self, other: Estimate) -> tuple[float, float] | None:
        """Return the logarithm of the ratio within a pass, and half the width of its interval.

        `None` if the two have too few passes in common.
        """
        both = self.by_pass.keys() & other.by_pass.keys()
        pairs = [(self.by_pass[each], other.by_pass[each]) for each in sorted(both)]
        logs = [math.log(a / b) for a, b in pairs if a > 0 and b > 0]
        return _student(logs) if len(logs) >= MIN_PROCESSES else None

    def smallest_ranked_difference(self, other: Estimate) -> float | None:
        """Return the difference that would have been enough to tell the two apart.

        A fraction of the lower figure; `None` without intervals, or where none would be enough.
        """
        if found := self._log_ratio(other):
            return max(math.expm1(found[1]), self.resolution, other.resolution)
        halves = [each.half_width for each in (self, other) if each.half_width is not None]
        if len(halves) < 2:
            return None
        # They are apart when `lower * (1 + h) < higher * (1 - g)`.
        h, g = sorted(halves)
        return (1 + h) / (1 - g) - 1 if g < 1 else None

    def complement(self) -> Estimate:
        """Return the estimate of `1 - value`, at least 0: data stall from AU."""

        def of(value: float) -> float:
            return max(0.0, 1 - value)

        return Estimate(
            median=of(self.median),
            low=None if self.high is None else of(self.high),
            high=None if self.low is None else of(self.low),
            n=self.n,
            by_pass={number: of(value) for number, value in self.by_pass.items()},
        )


def ratios(numerators: Iterable[float | None], denominators: Iterable[float | None]) -> list[float]:
    """Divide pairwise, leaving out rounds of which only a part was recorded.

    Args:
        numerators: one number per round; `None` if it is missing.
        denominators: the same for the same rounds.

    Returns:
        The ratios of the rounds that have a finite, non-negative numerator and a finite, positive
        denominator, in order; possibly none.

    Raises:
        ValueError: the two differ in length.
    """
    pairs = zip(numerators, denominators, strict=True)
    return [float(a) / float(b) for a, b in pairs if _number(a) and _number(b) and b > 0]


def best(estimates: Mapping[str, Estimate]) -> str:
    """Return the key of the largest median; the first one among equals.

    Raises:
        ValueError: there is no estimate.
    """
    if not estimates:
        raise ValueError("`estimates` must not be empty.")
    return max(estimates, key=lambda key: estimates[key].median)


def smallest_ranked_difference(estimates: Iterable[Estimate]) -> float | None:
    """Return the difference that is enough to tell any two of the estimates apart.

    Args:
        estimates: of one figure.

    Returns:
        A fraction of the lower figure; `None` if no two have intervals, or for some two none is.
    """
    known = [each for each in estimates if each.low is not None]
    found = [one.smallest_ranked_difference(other) for one, other in combinations(known, 2)]
    if not found or None in found:
        return None
    return max(each for each in found if each is not None)


def _student(values: Sequence[float]) -> tuple[float, float]:
    """Return the mean of some values and half the width of its Student's interval."""
    from scipy import stats  # loads for a second, and a run starts without it

    n = len(values)
    factor = stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) / math.sqrt(n)
    return float(np.mean(values)), float(factor * np.std(values, ddof=1))


def _number(value: object) -> TypeGuard[float]:
    """Whether it is a measured quantity: a finite, non-negative number."""
    return isinstance(value, int | float) and math.isfinite(value) and value >= 0
