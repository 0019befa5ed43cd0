"""A straight line through a few points, with the interval of its slope."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from keras_loader_bench.bench.statistics import CONFIDENCE


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
