"""tf.data over the memory map, by the advice of TensorFlow's performance guide.

https://www.tensorflow.org/guide/data_performance: vectorise the map (it follows `batch`), run it in
parallel, prefetch. The source is read through one tensor that shares the mapped pages.
Must not know: how rows are ordered.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from loaders.contract import Loader, LoaderOptions, Rows
from loaders.mapped_tensors import MappedSource, half_of_the_cores, tuned
from loaders.source import ImageSource


class TfDataLoader(Loader):
    """A `tf.data.Dataset` that gathers rows of the mapped file and scales them in its graph.

    `num_workers` is the number of batches that are made in parallel (`num_parallel_calls`), with
    `prefetch_batches` ahead. Without workers tf.data tunes both by itself, which its guide advises.
    """

    def __init__(self, source: ImageSource, options: LoaderOptions) -> None:
        super().__init__(source, options)
        self._mapped = MappedSource(source)

    def fit_args(self, rows: Rows) -> dict[str, Any]:
        """Return `x`: a dataset of `(x, y)` over the given rows, and how many steps that are."""
        workers = self.options.num_workers
        self._mapped.begin(rows, self.options.batch_size)
        batches = tf.data.Dataset.from_tensor_slices(rows).batch(self.options.batch_size)
        dataset = self._mapped.batches(
            batches, self.options.pixels, num_parallel_calls=workers or tf.data.AUTOTUNE
        ).prefetch(self.options.prefetch_batches if workers else tf.data.AUTOTUNE)
        return {
            "x": tuned(dataset, workers or half_of_the_cores(), autotune=not workers),
            # Told how many, Keras iterates over the dataset once an epoch; else it begins to twice.
            "steps_per_epoch": -(-len(rows) // self.options.batch_size),
        }

    def close(self) -> None:
        """Let go of the tensors, and with them of the map."""
        del self._mapped
