"""`keras.utils.image_dataset_from_directory` with `format="grain"`.

Must not know: how rows are ordered.
"""

from __future__ import annotations

from typing import Any

import grain
import keras

from keras_loader_bench.loaders.contract import Rows
from keras_loader_bench.loaders.encoded.contract import ImageLoader, ImageOptions
from keras_loader_bench.loaders.encoded.encoded_source import EncodedSource
from keras_loader_bench.loaders.encoded.pipelines.keras_directory import (
    keras_directory,
    whole_batches,
)


class KerasDirectoryGrainLoader(ImageLoader):
    """Keras' dataset; what follows scales its batches, as its tutorials do with `map`.

    Its pixels are others than the contract's: Pillow decodes the same, but the image is resized;
    `uint8` rounds it. `num_workers` is not used: Keras leaves Grain its 16 threads.
    """

    only_whole_batches = True

    def __init__(self, source: EncodedSource, options: ImageOptions) -> None:
        super().__init__(source, options)
        self._dataset, self.only_rows = keras_directory(source, options, "grain")

    def fit_args(self, rows: Rows) -> dict[str, Any]:
        """Return `x` and `steps_per_epoch`: Keras cannot know the length of a Grain dataset.

        It repeats its rows for ever, as Keras then goes on with one iterator from epoch to epoch.

        Raises:
            ValueError: the rows are not the first ones of the directory, or end within a batch.
        """
        count = whole_batches(self, rows)
        batches = grain.experimental.LimitIterDataset(self._dataset, count).map(self._in_form)
        return {"x": grain.experimental.RepeatIterDataset(batches), "steps_per_epoch": count}

    def _in_form(self, batch: tuple[Any, Any]) -> tuple[Any, Any]:
        x, y = batch
        if self.options.pixels == "float32":
            return x / 255.0, y
        return keras.ops.cast(keras.ops.round(x), "uint8"), y

    def close(self) -> None:
        """Let go of the dataset."""
        del self._dataset
