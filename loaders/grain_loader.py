"""Grain's `MapDataset` over the memory map, with batched reads.

https://google-grain.readthedocs.io: records of a few kilobytes are dear to read one by one, since
each passes through every stage in Python. Here the elements of the data source are whole batches.
Must not know: how rows are ordered.
"""

from __future__ import annotations

from typing import Any

import grain

from loaders.contract import Batch, Loader, LoaderOptions, Rows, make_batch
from loaders.source import ImageSource


class BatchSource:
    """A `grain.sources.RandomAccessDataSource` whose elements are batches.

    Args:
        source: the stored images.
        rows: the rows to deliver, in this order.
        options: batch size and the form of the pixels.
    """

    def __init__(self, source: ImageSource, rows: Rows, options: LoaderOptions) -> None:
        self.source = source
        self.rows = rows
        self.options = options

    def __len__(self) -> int:
        return -(-len(self.rows) // self.options.batch_size)

    def __getitem__(self, index: int) -> Batch:
        start = index * self.options.batch_size
        rows = self.rows[start : start + self.options.batch_size]
        return make_batch(self.source, rows, self.options.pixels)


class GrainLoader(Loader):
    """A new `IterDataset` for every `fit`.

    `num_workers` is `ReadOptions.num_threads`: threads that read batches ahead, `prefetch_batches`
    at most. Without workers each batch is read on the thread that asks for it, which Grain advises
    for data that lie in memory.
    """

    def fit_args(self, rows: Rows) -> dict[str, Any]:
        """Return `x` and `steps_per_epoch`: Keras cannot know the length of a Grain dataset.

        The dataset repeats its rows for ever, because Keras goes on with one iterator from epoch to
        epoch where it is told the number of steps.
        """
        batches = BatchSource(self.source, rows, self.options)
        threads = self.options.num_workers
        read_options = grain.ReadOptions(
            num_threads=threads,
            prefetch_buffer_size=max(threads, self.options.prefetch_batches) if threads else 0,
        )
        dataset = grain.MapDataset.source(batches).repeat().to_iter_dataset(read_options)
        return {"x": dataset, "steps_per_epoch": len(batches)}
