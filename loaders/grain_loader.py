"""Grain's `MapDataset` over the memory map, with batched reads.

https://google-grain.readthedocs.io: records of a few kilobytes are dear to read one by one, since
each passes through every stage in Python. Here the elements of the data source are whole batches.
Must not know: how rows are ordered.
"""

from __future__ import annotations

from typing import Any

import grain

from keras_loader_bench.loaders.contract import Batches, Loader, Rows


class GrainLoader(Loader):
    """A new `IterDataset` for every `fit`.

    `num_workers` is `ReadOptions.num_threads`: threads that read batches ahead, `prefetch_batches`
    at most. Without workers each batch is read on the thread that asks for it, which Grain advises
    for data that lie in memory.
    """

    def fit_args(self, rows: Rows) -> dict[str, Any]:
        """Return `x` and `steps_per_epoch`: Keras cannot know the length of a Grain dataset.

        The dataset repeats its rows for ever, because Keras goes on with one iterator from epoch to
        epoch where it is told the number of steps. With `steps_per_execution` above 1 it therefore
        takes more batches than an epoch has, where their number cannot be divided by that.
        """
        options = self.options
        # A `grain.sources.RandomAccessDataSource` as it is.
        batches = Batches(self.source, rows, batch_size=options.batch_size, pixels=options.pixels)
        threads = options.num_workers
        read_options = grain.ReadOptions(
            num_threads=threads,
            prefetch_buffer_size=max(threads, options.prefetch_batches) if threads else 0,
        )
        dataset = grain.MapDataset.source(batches).repeat().to_iter_dataset(read_options)
        return {"x": dataset, "steps_per_epoch": len(batches)}
