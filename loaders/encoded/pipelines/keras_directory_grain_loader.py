"""`keras.utils.image_dataset_from_directory` with `format="grain"`.

Must not know: how rows are shuffled.
"""

from __future__ import annotations

from typing import Any

import grain

from keras_loader_bench.loaders.contract import Loader, LoaderOptions, Rows
from keras_loader_bench.loaders.encoded.encoded_source import EncodedSource
from keras_loader_bench.loaders.encoded.pipelines.keras_directory import (
    in_form,
    keras_directory,
    whole_batches,
)


class KerasDirectoryGrainLoader(Loader[EncodedSource]):
    """Keras' dataset; what follows scales its batches, as its tutorials do with `map`.

    Its pixels are others than the contract's: Pillow decodes the same, but the image is resized;
    `uint8` rounds it. `num_workers` is not used: Keras leaves Grain its 16 threads.
    """

    def __init__(self, source: EncodedSource, options: LoaderOptions) -> None:
        super().__init__(source, options)
        self._dataset, self.only_rows = keras_directory(source, options, "grain")

    def fit_args(self, rows: Rows) -> dict[str, Any]:
        """Return `x`: the dataset, or its first batches.

        Raises:
            ValueError: the rows are not the first ones of the directory, or end within a batch.
        """
        count = whole_batches(self, rows)
        form = in_form(self.options)
        dataset = grain.experimental.LimitIterDataset(self._dataset, count)
        return {"x": dataset.map(lambda batch: form(*batch))}

    def close(self) -> None:
        """Let go of the dataset."""
        del self._dataset
