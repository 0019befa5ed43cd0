"""Medians, intervals and rankings of figures from a few noisy rounds.

Owns: every number that a report derives from raw rounds. All functions are pure.

Rounds are skewed and come in clusters, so nothing here assumes a distribution: medians rather than
means, order statistics rather than standard errors.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeGuard

import numpy as np

CONFIDENCE = 0.95
"""Share of repetitions in which an interval covers the true median, at least."""

MIN_ROUNDS = 6
"""With fewer rounds not even the whole range reaches `CONFIDENCE`: 1 - 2 / 2**5 is 0.9375."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """The median of some rounds and how far it can be trusted, in the unit of the rounds."""

    median: float
    """The middle round, or the mean of the two in the middle."""

    low: float | None
    """Lower end of the distribution-free 95% interval of the median; `None`: too few rounds."""

    high: float | None
    """Upper end of the same interval; `None` together with `low`."""

    n: int
    """Number of rounds, at least 1."""

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
    def smallest_difference(self) -> float | None:
        """Smallest difference from a known value that these rounds could have shown.

        Half the width of the interval as a fraction of the median; `None` without an interval or
        with a median of zero. Two estimates that are both this noisy are told apart only at about
        twice this difference: see `smallest_ranked_difference`.
        """
        if self.low is None or self.high is None or self.median == 0:
            return None
        return (self.high - self.low) / 2 / abs(self.median)

    @property
    def ends(self) -> tuple[float, float]:
        """Both ends of the interval; the median twice where there is none."""
        if self.low is None or self.high is None:
            return self.median, self.median
        return self.low, self.high

    def overlaps(self, other: Estimate) -> bool:
        """Whether the two cannot be ranked: their intervals share a point, or one has none."""
        if self.low is None or self.high is None or other.low is None or other.high is None:
            return True
        return self.low <= other.high and other.low <= self.high

    def complement(self) -> Estimate:
        """Return the estimate of `1 - value`: data stall from accelerator utilization."""
        return Estimate(
            median=1 - self.median,
            low=None if self.high is None else 1 - self.high,
            high=None if self.low is None else 1 - self.low,
            n=self.n,
        )


@dataclass(frozen=True, kw_only=True)
class Slope:
    """A straight line through points: how much y grows with x."""

    value: float
    """Units of y per unit of x (least squares)."""

    at_zero: float
    """Where the line meets x = 0, in units of y."""

    low: float | None
    """Lower end of the interval of `value`; `None` with fewer than three points, or overflow."""

    high: float | None
    """Upper end of the same interval; `None` together with `low`."""

    n: int
    """Number of points, at least 2."""

    @classmethod
    def through(
        cls, points: Iterable[tuple[float, float]], *, confidence: float = CONFIDENCE
    ) -> Self | None:
        """Fit a line by least squares.

        The interval is Student's, `scipy.stats.linregress` with n - 2 degrees of freedom: it takes
        what is left over the line as independent and normal. Order statistics, which need no such
        assumption, say nothing about a slope of five points.

        Args:
            points: x and y.
            confidence: share of repetitions in which the interval covers the true slope.

        Returns:
            The line; `None` if fewer than two points differ in x.
        """
        xs, ys = np.array(list(points), dtype=np.float64).reshape(-1, 2).T
        if len(np.unique(xs)) < 2:
            return None
        from scipy import stats

        fit: Any = stats.linregress(xs, ys)
        low = high = None
        if len(xs) > 2:
            half = float(stats.t.ppf((1 + confidence) / 2, len(xs) - 2) * fit.stderr)
            half = 0.0 if np.ptp(ys) == 0 else half  # all at one height: SciPy may say NaN
            if math.isfinite(half):
                low, high = float(fit.slope) - half, float(fit.slope) + half
        slope, at_zero = float(fit.slope), float(fit.intercept)
        return cls(value=slope, at_zero=at_zero, low=low, high=high, n=len(xs))

    def reaches(self, y: float) -> float | None:
        """Return the x at which the line has grown to y; `None` if it does not grow."""
        return (y - self.at_zero) / self.value if self.value > 0 else None


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


def estimate_ratio(
    numerators: Iterable[float | None], denominators: Iterable[float | None], *, scale: float = 1.0
) -> Estimate | None:
    """Estimate the median of per-round ratios.

    `samples / seconds` is a rate; `ceiling_seconds / seconds` of neighbouring rounds is the
    accelerator utilization; `cpu_seconds / samples` with a scale of 1,000 is the CPU cost.

    Args:
        numerators: one number per round.
        denominators: the same for the same rounds.
        scale: factor on every ratio.

    Returns:
        The estimate; `None` if no round has both numbers.

    Raises:
        ValueError: the two differ in length.
    """
    values = [scale * ratio for ratio in ratios(numerators, denominators)]
    return Estimate.from_values(values) if values else None


def best(estimates: Mapping[str, Estimate]) -> str:
    """Return the key of the largest median; the first one among equals.

    Raises:
        ValueError: there is no estimate.
    """
    if not estimates:
        raise ValueError("`estimates` must not be empty.")
    return max(estimates, key=lambda key: estimates[key].median)


def leaders(estimates: Mapping[str, Estimate]) -> list[str]:
    """Return every key that could be the best one: those not ranked below the largest median.

    Overlap is not transitive: A may overlap B, and B overlap C, although A and C do not. So there
    is no ranking of all into groups that would be true for every pair. What does hold for each
    pair is said here: whoever is missing from the result is below the best median, and nothing is
    said about the order of those missing, nor of those present.

    Args:
        estimates: at least one; one without an interval overlaps everything.

    Returns:
        Keys in the order given. The only one, if there is only one, is above all others.

    Raises:
        ValueError: there is no estimate.
    """
    top = estimates[best(estimates)]
    return [key for key, estimate in estimates.items() if estimate.overlaps(top)]


def smallest_ranked_difference(estimates: Iterable[Estimate]) -> float | None:
    """Return the difference that is enough to rank any two of the estimates.

    Two medians are ranked when `lower * (1 + h) < higher * (1 - g)` for their half-widths `h` and
    `g` relative to the medians, that is when they differ by `(1 + h) / (1 - g) - 1`; this is that
    difference for the two widest intervals, taken as symmetric.

    Args:
        estimates: of one figure; those without an interval are left out.

    Returns:
        A fraction of the lower median; `None` with fewer than two intervals, or where one is so
        wide that no difference would be enough.
    """
    halves = [estimate.smallest_difference for estimate in estimates]
    widest = sorted(half for half in halves if half is not None)[-2:]
    if len(widest) < 2 or widest[1] >= 1:
        return None
    return (1 + widest[0]) / (1 - widest[1]) - 1


def _number(value: object) -> TypeGuard[float]:
    """Whether it is a measured quantity: a finite, non-negative number."""
    return isinstance(value, int | float) and math.isfinite(value) and value >= 0
