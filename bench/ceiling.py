"""The ceiling: the first batch, already in memory, repeated.

An instrument and not a loader: it delivers wrong data on purpose, as fast as `fit` can take it.
Must not know: any particular loader.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from loaders.contract import Batch, Loader, LoaderOptions, Rows, make_batch
from loaders.source import ImageSource


class CeilingLoader(Loader):
    """The fastest that any loader can look in this `fit`: `from_tensors(...).repeat(...)`."""

    dependencies: ClassVar[tuple[str, ...]] = ("tensorflow",)

    def __init__(self, source: ImageSource, options: LoaderOptions) -> None:
        super().__init__(source, options)
        rows = np.arange(min(options.batch_size, source.num_samples))
        self._batch: Batch = make_batch(source, rows, options.pixels)

    def fit_args(self, rows: Rows) -> dict[str, Any]:
        """Return `x`: a dataset of as many samples, in as many batches, as the rows would give."""
        full, rest = divmod(len(rows), self.options.batch_size)
        last = tuple(part[:rest] for part in self._batch)
        dataset = tf.data.Dataset.from_tensors(self._batch).repeat(full)
        # Appended even without a rest: the two shapes together leave the batch size open, as
        # loaders do. A fixed one would train with another, perhaps faster graph than theirs.
        dataset = dataset.concatenate(tf.data.Dataset.from_tensors(last).repeat(min(rest, 1)))
        return {"x": dataset}
