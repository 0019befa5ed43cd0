"""A PyDataset over files with Pillow, as tutorials write it, read by Keras' own workers.

https://keras.io/api/utils/python_utils/#pydataset-class has it in its example. Must not know: how
rows are ordered.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from keras_loader_bench.loaders.contract import Batch, LoaderOptions, Rows
from keras_loader_bench.loaders.encoded.contract import ImageLoader, ImageOptions
from keras_loader_bench.loaders.encoded.encoded_source import EncodedSource
from keras_loader_bench.loaders.encoded.pipelines.image_files import by_pillow, image_files
from keras_loader_bench.loaders.encoded.views import Views


class StockImageSequence(keras.utils.PyDataset):
    """Opens, decodes and stacks the files of a batch.

    Args:
        paths: of the samples to deliver, in this order.
        views: which part of each image.
        targets: float64 one-hot `(n, num_classes)`, as `keras.utils.to_categorical` makes them.
        image_size: height and width of that part, in pixels.
        options: batch size and the form of the pixels.
        **keras_options: `workers`, `use_multiprocessing` and `max_queue_size`.
    """

    def __init__(
        self,
        paths: list[str],
        views: Views,
        targets: npt.NDArray[np.float64],
        image_size: int,
        options: LoaderOptions,
        **keras_options: Any,
    ) -> None:
        super().__init__(**keras_options)
        self.paths = paths
        self.views = views
        self.targets = targets
        self.image_size = image_size
        self.batch_size = options.batch_size
        self.pixels = options.pixels

    def __len__(self) -> int:
        return -(-len(self.paths) // self.batch_size)

    def __getitem__(self, index: int) -> Batch:
        some = slice(index * self.batch_size, (index + 1) * self.batch_size)
        x: npt.NDArray[Any] = np.stack(
            [
                by_pillow(path, self.image_size, view)
                for path, view in zip(self.paths[some], self.views[some], strict=True)
            ]
        )
        if self.pixels == "float32":
            x = x.astype(np.float32) / 255.0
        return x, self.targets[some].astype(np.float32)


class StockImageSequenceLoader(ImageLoader):
    """A new `StockImageSequence` for every `fit`, with Keras' own threads.

    `num_workers` is Keras' `workers`; without any it is 1, Keras' default, which means that batches
    are read on the thread that asks for them.
    """

    def __init__(self, source: EncodedSource, options: ImageOptions) -> None:
        super().__init__(source, options)
        self._paths = image_files(source)

    def fit_args(self, rows: Rows) -> dict[str, Any]:
        """Return `x`: the `StockImageSequence`."""
        sequence = StockImageSequence(
            [self._paths[row] for row in rows.tolist()],
            self.views(rows),
            keras.utils.to_categorical(self.source.labels[rows], self.source.num_classes),
            self.source.image_size,
            self.options,
            workers=max(1, self.options.num_workers),
        )
        return {"x": sequence}
