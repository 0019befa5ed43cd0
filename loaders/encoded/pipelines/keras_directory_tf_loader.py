"""`keras.utils.image_dataset_from_directory` with `format="tf"`, its default.

Must not know: how rows are ordered.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from keras_loader_bench.loaders.contract import Rows
from keras_loader_bench.loaders.encoded.contract import ImageLoader, ImageOptions
from keras_loader_bench.loaders.encoded.encoded_source import EncodedSource
from keras_loader_bench.loaders.encoded.pipelines.keras_directory import (
    keras_directory,
    whole_batches,
)


class KerasDirectoryTfLoader(ImageLoader):
    """Keras' dataset; what follows scales its batches, as its tutorials do with `map`.

    Its pixels are others than the contract's: they are decoded with TensorFlow's faster, less
    accurate DCT and resized; `uint8` rounds them. `num_workers` is not used: `AUTOTUNE` decides.
    """

    only_whole_batches = True

    def __init__(self, source: EncodedSource, options: ImageOptions) -> None:
        super().__init__(source, options)
        self._dataset, self.only_rows = keras_directory(source, options, "tf")

    def fit_args(self, rows: Rows) -> dict[str, Any]:
        """Return `x`: the dataset, or its first batches.

        Raises:
            ValueError: the rows are not the first ones of the directory, or end within a batch.
        """
        count = whole_batches(self, rows)
        x = self._dataset.take(count).map(self._in_form, num_parallel_calls=tf.data.AUTOTUNE)
        return {"x": x.prefetch(tf.data.AUTOTUNE)}

    def _in_form(self, x: Any, y: Any) -> tuple[Any, Any]:
        if self.options.pixels == "float32":
            return x / 255.0, y
        return tf.cast(tf.round(x), tf.uint8), y

    def close(self) -> None:
        """Let go of the dataset."""
        del self._dataset
