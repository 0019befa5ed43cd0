"""The ceiling: `fit` on the first batch, already in memory, repeated.

It is a measuring instrument, not a loader: it delivers the same batch again and again in the form
that the backend reads fastest.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_loader_bench.bench.child.backends import current
from keras_loader_bench.loaders.contract import (
    Loader,
    LoaderOptions,
    Rows,
    Source,
    batch_of,
)


class CeilingLoader(Loader[Source]):
    """The fastest that any loader can look in this `fit`."""

    def __init__(self, source: Source, options: LoaderOptions) -> None:
        super().__init__(source, options)
        rows = np.arange(min(options.batch_size, source.num_samples))
        batch = batch_of(*source.read(rows), source.num_classes, options.pixels)
        # On the backend's device, once: no round pays for the way there. (A dataset of TensorFlow
        # holds it in the host's memory, whatever the device.)
        self.epochs = 1
        """How many the next `fit` has: not every form can be iterated again."""
        self._batch = tuple(keras.ops.convert_to_tensor(part) for part in batch)

    def fit_args(self, rows: Rows) -> dict[str, Any]:
        """Return arguments for as many samples, in as many batches, as the rows would give."""
        full, rest = divmod(len(rows), self.options.batch_size)
        last = tuple(part[:rest] for part in self._batch)
        runs = [(self._batch, full), (last, min(rest, 1))]
        return current().repeat(runs, epochs=self.epochs)
