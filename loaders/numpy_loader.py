"""The whole split, normalised, as arrays in memory: the simplest way to train, and the dearest.

Must not know: how rows are ordered, how `fit` slices arrays.
"""

from __future__ import annotations

from typing import Any

from keras_loader_bench.loaders.contract import Loader, LoaderOptions, Rows, one_hot, scale_pixels
from keras_loader_bench.loaders.sources.image_source import ImageSource


class NumpyLoader(Loader):
    """Holds `x` float32 (12,288 bytes per sample) and `y`, and hands arrays to `fit`.

    `fit` takes no order, only arrays. The rows of a call are therefore gathered into new arrays,
    which is part of what this loader costs: for a whole epoch it doubles the memory. It has no
    workers: `num_workers` changes nothing.
    """

    def __init__(self, source: ImageSource, options: LoaderOptions) -> None:
        super().__init__(source, options)
        images = source.images
        self._x = scale_pixels(images) if options.pixels == "float32" else images[:].copy()
        self._y = one_hot(source.labels, source.num_classes)

    def fit_args(self, rows: Rows) -> dict[str, Any]:
        """Return `x`, `y` and `batch_size`; the arrays hold the given rows in their order."""
        return {"x": self._x[rows], "y": self._y[rows], "batch_size": self.options.batch_size}

    def close(self) -> None:
        """Let go of the arrays."""
        del self._x, self._y
