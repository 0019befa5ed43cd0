"""All images decoded in memory, and then arrays for `fit`: what decoding ahead would give.

Must not know: how rows are ordered, how `fit` slices arrays.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_loader_bench.loaders.contract import Loader, LoaderOptions, Rows, batch_of
from keras_loader_bench.loaders.encoded.encoded_source import EncodedSource


class DecodedNumpyLoader(Loader[EncodedSource]):
    """Decodes all rows when it is made, and hands `x` and `y` to `fit`, as arrays.

    They are new ones for each call, since `fit` takes no order; float32 takes four bytes for each
    of the source's one. It has no workers: `num_workers` changes nothing.
    """

    def __init__(self, source: EncodedSource, options: LoaderOptions) -> None:
        super().__init__(source, options)
        self._images, self._labels = source.read(np.arange(source.num_samples))

    def fit_args(self, rows: Rows) -> dict[str, Any]:
        """Return `x`, `y` and `batch_size`; the arrays hold the given rows in their order."""
        classes, pixels = self.source.num_classes, self.options.pixels
        x, y = batch_of(self._images[rows], self._labels[rows], classes, pixels)
        return {"x": x, "y": y, "batch_size": self.options.batch_size}

    def close(self) -> None:
        """Let go of the images."""
        del self._images, self._labels
