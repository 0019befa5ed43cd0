"""PyTorch's `DataLoader` over the memory map, with batched fetching.

https://docs.pytorch.org/docs/stable/data.html: a dataset that has `__getitems__` is asked for a
whole batch at once, which saves a Python call and a copy for every sample.
Every worker process imports this, so it imports no Keras: a backend would cost each of them seconds
and hundreds of MiB.
Must not know: how rows are ordered.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from keras_loader_bench.loaders.contract import (
    Batch,
    Loader,
    LoaderOptions,
    Pixels,
    Rows,
    make_batch,
)
from keras_loader_bench.loaders.sources.image_source import ImageSource


class RowsDataset(Dataset[Any]):
    """The samples of a source. Its pickle holds the path of the source and no image.

    Args:
        source: the stored images.
        pixels: `float32` or `uint8`.
    """

    def __init__(self, source: ImageSource, pixels: Pixels) -> None:
        self.source = source
        self.pixels = pixels

    def __len__(self) -> int:
        return self.source.num_samples

    def __getitem__(self, row: int) -> Batch:
        """Return one sample, as a batch of one."""
        return self.__getitems__(np.array([row]))

    def __getitems__(self, rows: Rows) -> Batch:
        """Return the batch of these rows."""
        return make_batch(self.source, rows, self.pixels)


class BatchesOfRows(Sampler[Any]):
    """Cuts rows into batches: the order stays in our hands.

    Args:
        batch_size: rows in every batch but the last, which may be smaller.
    """

    def __init__(self, batch_size: int) -> None:
        self.batch_size = batch_size
        self.rows: Rows = np.arange(0)
        self.closed = False

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def __iter__(self) -> Iterator[Rows]:
        rows = self.rows  # of this pass, whatever the next one is given
        for start in range(0, len(rows), self.batch_size):
            if self.closed:
                return
            yield rows[start : start + self.batch_size]


class TorchLoader(Loader):
    """One `DataLoader` for all calls, so that its workers are started once.

    `num_workers` is that of `DataLoader`: processes, which live until `close`. They are spawned and
    not forked: this process runs the threads of a framework, and a fork would copy their locks as
    they happen to be. `prefetch_batches` is shared out among them. Without workers each batch is
    read on the thread that asks for it. Where Keras runs on torch with CUDA, batches are pinned, as
    https://docs.pytorch.org/docs/stable/data.html#memory-pinning advises.
    """

    def __init__(self, source: ImageSource, options: LoaderOptions) -> None:
        super().__init__(source, options)
        self._batches = BatchesOfRows(options.batch_size)
        self._data_loader: Any = data_loader(
            RowsDataset(source, options.pixels),
            options,
            batch_sampler=self._batches,
            collate_fn=as_tensors,
        )

    def fit_args(self, rows: Rows) -> dict[str, Any]:
        """Return `x`: the `DataLoader`, which delivers the given rows from now on."""
        self._batches.rows = rows
        return {"x": self._data_loader}

    def close(self) -> None:
        """End the worker processes."""
        self._batches.closed = True
        end_workers(self._data_loader)
        del self._data_loader


def data_loader(dataset: Any, options: LoaderOptions, **data_options: Any) -> Any:
    """Return a `DataLoader` whose workers live until `end_workers`; see `TorchLoader`.

    Args:
        dataset: what it reads.
        options: `num_workers` and `prefetch_batches`.
        **data_options: what else `DataLoader` is given.
    """
    import keras

    workers = options.num_workers
    return DataLoader(
        dataset,
        num_workers=workers,
        prefetch_factor=max(1, options.prefetch_batches // workers) if workers else None,
        persistent_workers=workers > 0,
        multiprocessing_context="spawn" if workers else None,
        # On another backend it would open a second context on the card.
        pin_memory=keras.backend.backend() == "torch"
        and keras.ops.convert_to_tensor(0).device.type == "cuda",
        # Seeds the workers; without it every pass would draw from torch's global generator.
        generator=torch.Generator().manual_seed(0),
        **data_options,
    )


PATIENCE_S = 5.0
"""How long the end of a `DataLoader` waits for a batch that was read ahead."""


def end_workers(loader: Any) -> None:
    """End the worker processes of a `DataLoader` that is asked for no more batches."""
    iterator = loader._iterator
    if iterator is not None:
        # Take what was read ahead: a worker that is told to end while it hands over a batch
        # aborts. What it may raise here was raised in `fit`, or nobody has asked for it. On
        # TensorFlow a thread may still take a batch from this iterator after `fit` has raised, and
        # the iterator then waits for that one, for ever unless it has a limit.
        iterator._timeout = PATIENCE_S
        with contextlib.suppress(Exception):
            for _ in iterator:
                pass
        # No public way ends persistent workers while anybody refers to their iterator, and on
        # TensorFlow Keras never lets go of a generator that was fitted.
        iterator._shutdown_workers()


def as_tensors(batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a batch as tensors that share its memory."""
    x, y = batch
    return torch.from_numpy(x), torch.from_numpy(y)
