"""All images decoded in memory, and then arrays for `fit`: what decoding ahead would give.

Must not know: how rows are ordered, how `fit` slices arrays.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_loader_bench.loaders.contract import Rows, batch_of
from keras_loader_bench.loaders.encoded.contract import ImageLoader, ImageOptions
from keras_loader_bench.loaders.encoded.encoded_source import EncodedSource
from keras_loader_bench.loaders.encoded.views import cut, margin


class DecodedNumpyLoader(ImageLoader):
    """Decodes all rows when it is made, and hands `x` and `y` to `fit`, as arrays.

    They are new ones for each call, since `fit` takes no order; float32 takes four bytes for each
    of the source's one. It has no workers: `num_workers` changes nothing.
    """

    def __init__(self, source: EncodedSource, options: ImageOptions) -> None:
        super().__init__(source, options)
        beside = 0 if options.augment_seed is None else margin(source.image_size)
        whole = replace(source, image_size=source.image_size + 2 * beside)
        self._images, self._labels = whole.read(np.arange(source.num_samples))

    def fit_args(self, rows: Rows) -> dict[str, Any]:
        """Return `x`, `y` and `batch_size`; the arrays hold the given rows in their order."""
        classes, pixels = self.source.num_classes, self.options.pixels
        images = self._images[rows] if self.options.augment_seed is None else self._parts(rows)
        x, y = batch_of(images, self._labels[rows], classes, pixels)
        return {"x": x, "y": y, "batch_size": self.options.batch_size}

    def _parts(self, rows: Rows) -> npt.NDArray[np.uint8]:
        size = self.source.image_size
        parts = np.empty((len(rows), *self.source.sample_shape), np.uint8)
        for part, row, view in zip(parts, rows.tolist(), self.views(rows).tolist(), strict=True):
            part[...] = cut(self._images[row], size, view)
        return parts

    def close(self) -> None:
        """Let go of the images."""
        del self._images, self._labels
