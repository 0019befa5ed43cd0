"""The ceiling: the first batch, already in memory, repeated.

An instrument and not a loader: it delivers wrong data on purpose, as fast as `fit` can take it, in
the form that the backend takes fastest. Must not know: any particular loader.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from keras_loader_bench.loaders.contract import Loader, LoaderOptions, Rows, make_batch
from keras_loader_bench.loaders.sources.image_source import ImageSource


class CeilingLoader(Loader):
    """The fastest that any loader can look in this `fit`."""

    def __init__(self, source: ImageSource, options: LoaderOptions) -> None:
        super().__init__(source, options)
        rows = np.arange(min(options.batch_size, source.num_samples))
        batch = make_batch(source, rows, options.pixels)
        # On the backend's device, once: no round pays for the way there. (A dataset of TensorFlow
        # holds it in the host's memory, whatever the device.)
        self._batch = tuple(keras.ops.convert_to_tensor(part) for part in batch)

    def fit_args(self, rows: Rows) -> dict[str, Any]:
        """Return arguments for as many samples, in as many batches, as the rows would give."""
        full, rest = divmod(len(rows), self.options.batch_size)
        last = tuple(part[:rest] for part in self._batch)
        return _FORMS[keras.backend.backend()](self._batch, full, last, min(rest, 1))


def _tensorflow(batch: Any, full: int, last: Any, lasts: int) -> dict[str, Any]:
    """A dataset that never leaves TensorFlow's runtime."""
    import tensorflow as tf

    # The last batch is appended even if there is none: the two shapes together leave the batch size
    # open, as loaders do. A fixed one would train with another, perhaps faster graph than theirs.
    ends = tf.data.Dataset.from_tensors(last).repeat(lasts)
    return {"x": tf.data.Dataset.from_tensors(batch).repeat(full).concatenate(ends)}


def _jax(batch: Any, full: int, last: Any, lasts: int) -> dict[str, Any]:
    """A generator: the device's arrays pass through Keras as they are."""
    return {"x": _repeat(batch, full, last, lasts), "steps_per_epoch": full + lasts}


def _torch(batch: Any, full: int, last: Any, lasts: int) -> dict[str, Any]:
    """A DataLoader of batches that are made already."""
    import torch

    class Repeated(torch.utils.data.IterableDataset[Any]):
        def __iter__(self) -> Any:
            return _repeat(batch, full, last, lasts)

        def __len__(self) -> int:
            return full + lasts

    # A generator of its own: the rounds' random numbers are those that come without a loader.
    own = torch.Generator()
    return {"x": torch.utils.data.DataLoader(Repeated(), batch_size=None, generator=own)}


def _repeat(batch: Any, full: int, last: Any, lasts: int) -> Iterator[Any]:
    for _ in range(full):
        yield batch
    for _ in range(lasts):
        yield last


_FORMS = {"jax": _jax, "tensorflow": _tensorflow, "torch": _torch}
"""Keras backend -> the function that makes `fit`'s arguments."""
