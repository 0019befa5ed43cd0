"""A PyDataset by the book, read by Keras' own workers: what most training scripts rely on.

It stands here to be measured and audited as it is. Must not know: how rows are ordered.
"""

from __future__ import annotations

from typing import Any

import keras

from keras_loader_bench.loaders.contract import Batch, Batches, Loader, LoaderOptions, Rows
from keras_loader_bench.loaders.sources.image_source import ImageSource


class StockSequence(keras.utils.PyDataset):
    """Gathers a batch from the memory map; how it is called is left to Keras.

    Args:
        source: the stored images.
        rows: the rows to deliver, in this order.
        options: batch size and the form of the pixels.
        **keras_options: `workers`, `use_multiprocessing` and `max_queue_size`.
    """

    def __init__(
        self, source: ImageSource, rows: Rows, options: LoaderOptions, **keras_options: Any
    ) -> None:
        super().__init__(**keras_options)
        self.batches = Batches(source, rows, batch_size=options.batch_size, pixels=options.pixels)

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> Batch:
        return self.batches[index]


class StockSequenceLoader(Loader):
    """A new `StockSequence` for every `fit`, with Keras' own threads.

    `num_workers` is Keras' `workers`; without any it is 1, Keras' default, which means that batches
    are read on the thread that asks for them. How far Keras reads ahead is its `max_queue_size`,
    left at its default of 10.
    """

    def fit_args(self, rows: Rows) -> dict[str, Any]:
        """Return `x`: the `StockSequence`."""
        workers = max(1, self.options.num_workers)
        return {"x": StockSequence(self.source, rows, self.options, workers=workers)}


class StockSequenceProcessesLoader(Loader):
    """A new `StockSequence` for every `fit`, with Keras' `use_multiprocessing`.

    `num_workers` is Keras' `workers`, here processes that Keras forks; without any it is 1, which
    is one process. A worker that dies leaves `fit` waiting for ever.
    """

    def fit_args(self, rows: Rows) -> dict[str, Any]:
        """Return `x`: the `StockSequence`."""
        workers = max(1, self.options.num_workers)
        sequence = StockSequence(
            self.source, rows, self.options, workers=workers, use_multiprocessing=True
        )
        return {"x": sequence}
