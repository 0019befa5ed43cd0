"""The bridge: from a `PyDataset` to what `fit` reads fastest, on the backend that Keras runs on."""

from __future__ import annotations

from typing import Any

import keras

from keras_loader_bench.loaders.bridges.read_ahead import ReadAhead
from keras_loader_bench.loaders.sequence.lazy_sequence import LazySequence


def bridge(dataset: keras.utils.PyDataset, *, output_signature: Any = None) -> Any:
    """Return what `fit`, `evaluate` and `predict` read faster than the dataset itself.

    ```python
    model.fit(bridge(MyDataset(workers=4)), epochs=100)
    ```

    - TensorFlow: a `tf.data.Dataset` that calls `dataset[i]` once per batch, some batches ahead.
    - torch: a `DataLoader` of tensors that share the batch's memory or lie on the accelerator.
    - JAX: the dataset, which is read without a copy as it is, or one that reads it ahead.

    `dataset.workers` threads call `dataset[i]`, as with Keras, but every batch is delivered once
    and in order. It can be iterated any number of times. Each pass calls `on_epoch_begin`, and
    `on_epoch_end` when its last batch was read, or when the next pass begins if it was broken off.

    Args:
        dataset: its batches are `x`, `(x, y)` or `(x, y, sample_weight)` of NumPy arrays, or of
            structures of them. A `LazySequence` delivers through a graph that calls no Python.
        output_signature: TensorFlow only: the `tf.TensorSpec` of a batch, in the batch's structure.
            By default that of the first and the last batch, with `None` where they differ.

    Raises:
        ValueError: the dataset has no batches, or uses processes.
    """
    if not isinstance(dataset, keras.utils.PyDataset):
        raise ValueError(f"`dataset` must be a `keras.utils.PyDataset`, got {type(dataset)}.")
    if dataset.use_multiprocessing:
        raise ValueError(
            "`dataset.use_multiprocessing` must be False, got True: the bridge reads on threads, "
            "`workers=N` asks for them."
        )
    if dataset.num_batches == 0:
        raise ValueError("`dataset` must have at least one batch, got none.")
    backend = keras.backend.backend()
    if backend == "tensorflow":
        if isinstance(dataset, LazySequence):
            return dataset.as_tf_dataset()
        from keras_loader_bench.loaders.bridges.tf_bridge import tf_dataset

        return tf_dataset(dataset, output_signature)
    if backend == "torch":
        from keras_loader_bench.loaders.bridges.torch_bridge import torch_data_loader

        return torch_data_loader(dataset)
    return dataset if dataset.workers <= 1 else InOrder(dataset)


class Passes:
    """The passes over a dataset: what Keras would call, in the order in which it should."""

    def __init__(self, dataset: keras.utils.PyDataset) -> None:
        self._dataset = dataset
        self._under_way = False

    def begin(self) -> int | None:
        """Begin a pass, and end one that was broken off; return how many batches it has."""
        if self._under_way:
            self.end()
        self._under_way = True
        self._dataset.on_epoch_begin()
        num_batches: int | None = self._dataset.num_batches
        return num_batches

    def end(self) -> None:
        """Say that the last batch was read."""
        self._under_way = False
        self._dataset.on_epoch_end()


class InOrder(keras.utils.PyDataset):
    """A dataset whose batches are read ahead on `workers` threads, each once and in order."""

    def __init__(self, dataset: keras.utils.PyDataset) -> None:
        super().__init__()
        self._dataset = dataset
        self._batches: ReadAhead | None = None

    @property
    def num_batches(self) -> int | None:
        """Batches of a pass; `None`: it has no end."""
        num_batches: int | None = self._dataset.num_batches
        return num_batches

    def __getitem__(self, index: int) -> Any:
        if self._batches is None:
            self._batches = read_ahead(self._dataset)
        return self._batches[index]

    def on_epoch_begin(self) -> None:
        """Tell the dataset, and read anew what it may have changed."""
        self._forget()
        self._dataset.on_epoch_begin()

    def on_epoch_end(self) -> None:
        """End the threads and tell the dataset."""
        self._forget()
        self._dataset.on_epoch_end()

    def _forget(self) -> None:
        if self._batches is not None:
            self._batches.close()
        self._batches = None


def read_ahead(dataset: keras.utils.PyDataset) -> ReadAhead:
    """Return the batches of one pass, read ahead where `dataset.workers` is above 1."""
    workers: int = dataset.workers
    num_batches = dataset.num_batches
    return ReadAhead(
        dataset.__getitem__,
        2**62 if num_batches is None else num_batches,
        num_workers=workers if workers > 1 else 0,
        prefetch_batches=dataset.max_queue_size,
    )
