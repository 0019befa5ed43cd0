"""tf.data over arrays in memory, as TensorFlow's guides write it.

https://www.tensorflow.org/guide/data and https://www.tensorflow.org/guide/data_performance:
`from_tensor_slices`, `batch`, a vectorised `map`, `prefetch(AUTOTUNE)`. `shuffle` is left out: the
order is given, so it is the row numbers that are sliced.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from keras_loader_bench.loaders.contract import Loader, LoaderOptions, Rows
from keras_loader_bench.loaders.sources.image_source import ImageSource


class StockTfDataLoader(Loader):
    """Slices row numbers, gathers batches from tensors in memory and scales them in the graph.

    `num_workers` is not used: `AUTOTUNE` decides how much runs in parallel.
    """

    def __init__(self, source: ImageSource, options: LoaderOptions) -> None:
        super().__init__(source, options)
        with tf.device("CPU"):
            self._images = tf.constant(np.array(source.images))
            self._labels = tf.constant(np.array(source.labels))

    def fit_args(self, rows: Rows) -> dict[str, Any]:
        """Return `x`: a dataset of `(x, y)` over the given rows."""
        dataset = tf.data.Dataset.from_tensor_slices(rows)
        dataset = dataset.batch(self.options.batch_size, num_parallel_calls=tf.data.AUTOTUNE)
        dataset = dataset.map(self._batch, num_parallel_calls=tf.data.AUTOTUNE)
        return {"x": dataset.prefetch(tf.data.AUTOTUNE)}

    def _batch(self, rows: Any) -> tuple[Any, Any]:
        x, labels = tf.gather(self._images, rows), tf.gather(self._labels, rows)
        if self.options.pixels == "float32":
            x = tf.cast(x, tf.float32) / 255.0
        return x, tf.one_hot(labels, self.source.num_classes)

    def close(self) -> None:
        """Let go of the tensors."""
        del self._images, self._labels
