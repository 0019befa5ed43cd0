"""Measures by how much the pixels that `fit` is given differ from those of the reference."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from keras_loader_bench.loaders.audit.batches.fields import DenseArrays
from keras_loader_bench.loaders.audit.batches.records import Arrays

LEAST = 1e-3
"""Levels; a smaller difference is one of rounding."""


class PixelDifferences:
    """Compares batches with those that should have come, value by value.

    Args:
        expected: the batches that should come, in order.
    """

    def __init__(self, expected: Iterator[DenseArrays]) -> None:
        self._expected = expected
        self._largest = self._sum = 0.0
        self._other = self._values = 0
        self._comparable = True

    def see(self, batch: Arrays) -> None:
        """Compare the next batch."""
        wanted, x = next(self._expected, {}).get("x"), batch.get("x")
        if not isinstance(x, np.ndarray) or wanted is None or x.shape != wanted.shape:
            self._comparable = False
            return
        scale = 255.0 if x.dtype.kind == "f" else 1.0
        off = scale * np.abs(x.astype(np.float64) - wanted.astype(np.float64))
        self._largest = max(self._largest, float(off.max(initial=0.0)))
        self._sum += float(off.sum())
        self._other += int(np.count_nonzero(off > LEAST))
        self._values += off.size

    def found(self) -> dict[str, float] | None:
        """Return the fields of a `PixelRecord`; `None`: nothing to compare."""
        if not self._comparable or not self._values:
            return None
        mean, share = self._sum / self._values, self._other / self._values
        return {"largest_levels": self._largest, "mean_levels": mean, "share": share}
