"""All rows of a `fit` as arrays in memory: the simplest way to train, and the dearest.

Must not know: how rows are ordered, how `fit` slices arrays.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_loader_bench.loaders.contract import Loader, Rows, make_batch, one_hot

ROWS_AT_ONCE = 1024
"""Rows that are gathered and scaled while they are still in the processor's cache."""


class NumpyLoader(Loader):
    """Hands `x` (float32: 12,288 bytes per CIFAR-10 image) and `y` to `fit`, as arrays.

    `fit` takes no order, only arrays, so each call fills new ones from the stored images, in the
    order of its rows. They take what those of a plain `model.fit(x, y)` take; nothing else is kept.
    It has no workers: `num_workers` changes nothing.
    """

    def fit_args(self, rows: Rows) -> dict[str, Any]:
        """Return `x`, `y` and `batch_size`; the arrays hold the given rows in their order."""
        source, pixels = self.source, self.options.pixels
        x = np.empty((len(rows), *source.sample_shape), pixels)
        for start in range(0, len(rows), ROWS_AT_ONCE):
            part = x[start : start + ROWS_AT_ONCE]

            def empty(shape: tuple[int, ...], dtype: Any, part: Any = part) -> Any:
                return part if dtype == part.dtype else np.empty(shape, dtype)

            make_batch(source, rows[start : start + ROWS_AT_ONCE], pixels, empty=empty)
        y = one_hot(source.labels[rows], source.num_classes)
        return {"x": x, "y": y, "batch_size": self.options.batch_size}
