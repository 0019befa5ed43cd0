"""The bridge: from a `PyDataset` to what `fit` reads fastest, on the backend that Keras runs on."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import Any

import keras

from keras_loader_bench.loaders.bridges.passes import ENDLESS, foreseen_order, order_of
from keras_loader_bench.loaders.bridges.read_ahead import ReadAhead
from keras_loader_bench.loaders.bridges.returned import checked_batch, num_batches_of
from keras_loader_bench.loaders.bridges.sharded_batches import ShardedBatches
from keras_loader_bench.loaders.sequence.lazy_sequence import LazySequence
from keras_loader_bench.loaders.shards import RankOf


def bridge(
    dataset: keras.utils.PyDataset,
    *,
    output_signature: Any = None,
    shard: RankOf | None = None,
    seed: int | None = 0,
) -> Any:
    """Return what `fit`, `evaluate` and `predict` read faster than the dataset itself.

    ```python
    model.fit(bridge(MyDataset(workers=4)), epochs=100)
    ```

    - TensorFlow: a `tf.data.Dataset` that calls `dataset[i]` once per batch, some batches ahead.
    - torch: a `DataLoader` of tensors that share the batch's memory or lie on the accelerator.
    - JAX: a `PyDataset` that reads the dataset's batches without a copy. A `LazySequence` comes
      back as it is, so that a loop of one's own calls neither of the methods below.

    `dataset.workers` threads call `dataset[i]`, as with Keras, but every batch is delivered once.
    It can be iterated any number of times. Each pass calls `on_epoch_begin`, and `on_epoch_end`
    when its last batch was read, or when the next pass begins if it was broken off.

    The order is the one that the dataset would have: `fit` shuffles the batches of each epoch
    unless it is told `shuffle=False`, by the same generator, which `keras.utils.set_random_seed`
    seeds; `evaluate`, `predict` and a loop get them in order. (Keras warns that it does not shuffle
    a `tf.data.Dataset` or a `DataLoader`. The bridge does. What `map` and the like make of a
    `tf.data.Dataset` comes in order.) On torch, Keras refuses `class_weight` for a `DataLoader`:
    let the dataset return `(x, y, sample_weight)`.

    Args:
        dataset: its batches are `x`, `(x, y)` or `(x, y, sample_weight)` of arrays, or of
            structures of them; `y` and `sample_weight` may be `None`. A `LazySequence` delivers
            through a graph that calls no Python.
        output_signature: TensorFlow only: the `tf.TensorSpec` of a batch, in the batch's structure.
            By default that of the first two batches and of the last one, with `None` where they
            differ, and for the number of samples.
        shard: the number of this rank and how many there are, where several processes train
            together: every rank gets other batches of the dataset, and as many; see
            `ShardedBatches`. A `CIFAR10Sequence` takes a `shard` itself.
        seed: of which batches a rank gets in which epoch, the same on all ranks; `None`: the same
            batches in every epoch.

    Raises:
        ValueError: the dataset has no batches, or none that `fit` takes, or uses processes; or
            `shard` does not go with it.
    """
    if not isinstance(dataset, keras.utils.PyDataset):
        raise ValueError(f"`dataset` must be a `keras.utils.PyDataset`, got {type(dataset)}.")
    if dataset.use_multiprocessing:
        raise ValueError(
            "`dataset.use_multiprocessing` must be False, got True: the bridge reads on threads, "
            "`workers=N` asks for them."
        )
    if num_batches_of(dataset) == 0:
        raise ValueError("`dataset` must have at least one batch, got none.")
    if shard is not None:
        if isinstance(dataset, LazySequence):
            raise ValueError(
                f"`shard` must be given to the `{type(dataset).__name__}`, which then divides "
                "samples, and not to `bridge`, which divides whole batches."
            )
        dataset = ShardedBatches(dataset, shard, seed=seed)
    backend = keras.backend.backend()
    if backend == "tensorflow":
        if isinstance(dataset, LazySequence):
            return dataset.as_tf_dataset(output_signature)
        from keras_loader_bench.loaders.bridges.tf_bridge import tf_dataset

        return tf_dataset(dataset, output_signature)
    if backend == "torch":
        from keras_loader_bench.loaders.bridges.torch_bridge import torch_data_loader

        return torch_data_loader(dataset)
    return dataset if isinstance(dataset, LazySequence) else Bridged(dataset)


class Bridged(keras.utils.PyDataset):
    """A dataset whose batches are read ahead on `workers` threads, each as often as asked for.

    Keras asks for them in order or shuffled, and does not say in which order it shuffled. But it
    shuffles right after it has asked for their number, by a generator that can be copied: the
    order is foreseen. If it is not, each batch is read when it is asked for.
    """

    def __init__(self, dataset: keras.utils.PyDataset) -> None:
        super().__init__()
        self._dataset = dataset
        self._batches: ReadAhead | None = None
        self._order: Sequence[int] = ENDLESS
        self._place = -1
        """Of the batch that was asked for last, in the order."""
        self._random_state: Any = None
        """When the number of batches was asked for; `None`: it was made use of."""
        self._loops = False
        """Whether a loop of someone's own has begun and not ended."""

    @property
    def num_batches(self) -> int | None:
        """Batches of a pass; `None`: it has no end."""
        if self._dataset.workers > 1:
            self._random_state = random.getstate()
        return num_batches_of(self._dataset)

    def __len__(self) -> int:
        num_batches = self.num_batches
        if num_batches is None:
            raise TypeError("The dataset has no end, and so no length.")
        return num_batches

    def __iter__(self) -> Iterator[Any]:
        if self._loops:  # one that was broken off
            self.on_epoch_end()
        self.on_epoch_begin()
        self._loops = True
        yield from super().__iter__()
        self._loops = False
        self.on_epoch_end()

    def __getitem__(self, index: int) -> Any:
        if self._dataset.workers <= 1:
            return checked_batch(self._dataset[index], index)
        self._place += 1
        if self._place >= len(self._order) or self._order[self._place] != index:
            self._place = self._foresee(index)
        if self._batches is None:
            self._batches = read_ahead(self._dataset, self._order)
        return self._batches[self._place]

    def _foresee(self, index: int) -> int:
        """Find out the order from a batch on; return its place in it."""
        num_batches = num_batches_of(self._dataset)
        order = order_of(num_batches, shuffle=False)
        state, self._random_state = self._random_state, None
        if num_batches and state is not None:
            shuffled = foreseen_order(num_batches, state)
            order = shuffled if shuffled[0] == index else order
        if order != self._order:
            self._forget()
            self._order = order
        return order.index(index) if index in order else index

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


def read_ahead(dataset: keras.utils.PyDataset, order: Sequence[int]) -> ReadAhead:
    """Return the batches of one pass, read ahead where `dataset.workers` is above 1."""
    workers: int = dataset.workers
    return ReadAhead(
        lambda place: checked_batch(dataset[order[place]], order[place]),
        len(order),
        num_workers=workers if workers > 1 else 0,
        prefetch_batches=dataset.max_queue_size,
    )
