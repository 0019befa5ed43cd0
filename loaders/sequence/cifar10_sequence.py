"""`CIFAR10Sequence`: the lazy Sequence as people write it into a training script."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_loader_bench.loaders.contract import LoaderOptions, Pixels, Rows
from keras_loader_bench.loaders.order import sample_order
from keras_loader_bench.loaders.sequence.lazy_sequence import LazySequence, check_workers
from keras_loader_bench.loaders.shards import (
    LastBatch,
    RankOf,
    check_last_batch,
    check_shard,
    shard_rows,
)
from keras_loader_bench.loaders.sources.cifar10 import prepare_cifar10
from keras_loader_bench.loaders.sources.image_source import ImageSource


class CIFAR10Sequence(LazySequence):
    """CIFAR-10 for `fit`, read from disk batch by batch, reshuffled by sample every epoch.

    ```python
    train = CIFAR10Sequence(64, workers=2)
    test = CIFAR10Sequence(64, train=False)
    model.fit(train, epochs=100, validation_data=test, shuffle=False)
    ```

    How epochs change: Keras calls `on_epoch_end` before the first epoch too, draws batches ahead
    to learn their shapes, and with `steps_per_epoch` goes on where it stopped. An order that
    followed those calls at once would deliver some samples twice and others never. So
    `on_epoch_end` only asks for a new order. It takes effect when the length is asked for next,
    which is what Keras and a `for` loop do where a pass begins. The orders are
    `sample_order(num_samples, seed=seed, epoch=sequence.epoch)`; the first epoch of a `fit` need
    not be 0.

    `workers` are threads of this sequence, which read ahead while `fit` asks for batches in
    sequence: not with `shuffle=True`, its default. They end with each epoch, with `close` and with
    the sequence; see `LazySequence`.

    Args:
        batch_size: samples in every batch but the last of an epoch.
        data_dir: the folder `cifar-10-batches-py`, a folder that holds it, or
            `cifar-10-python.tar.gz`. It is converted once; the result is kept under `KERAS_HOME`.
        train: the 50,000 training samples, or the 10,000 test samples.
        shuffle: a new order every epoch; `None` means: for training only.
        seed: of the orders.
        pixels: `float32` in [0, 1], or `uint8` as stored.
        workers, prefetch_batches: see `ReadAhead`.
        shard: the number of this rank and how many there are, where several processes train
            together: it then delivers this rank's share of every global batch, of
            `ranks * batch_size` samples. See `shard_rows`.
        last_batch: what becomes of samples that fill no global batch: `short`, `drop` or `pad`; see
            `loaders.shards.LastBatch`. Without a `shard` the last batch is smaller.

    Raises:
        ValueError: an option is out of range, or the files are not CIFAR-10's.
    """

    def __init__(
        self,
        batch_size: int = 64,
        data_dir: str | Path = "cifar-10-batches-py",
        train: bool = True,
        *,
        shuffle: bool | None = None,
        seed: int = 0,
        pixels: Pixels = "float32",
        workers: int | None = None,
        prefetch_batches: int = 4,
        shard: RankOf | None = None,
        last_batch: LastBatch = "short",
    ) -> None:
        if not isinstance(train, bool):
            raise ValueError(f"`train` must be True or False, got {train!r}.")
        check_workers(workers)
        LoaderOptions(batch_size=batch_size, pixels=pixels, prefetch_batches=prefetch_batches)
        check_last_batch(last_batch)
        share = None if shard is None else (check_shard(shard), batch_size, last_batch)
        source = prepare_cifar10(data_dir, "train" if train else "test")
        self.shuffle = train if shuffle is None else shuffle
        self.seed = seed
        self._share = share
        self._epoch = 0
        self._new_order_wanted = False
        super().__init__(
            source,
            self._order(source),
            batch_size=batch_size,
            pixels=pixels,
            num_workers=workers,
            prefetch_batches=prefetch_batches,
        )

    @property
    def epoch(self) -> int:
        """The number of the order that is in use."""
        return self._epoch

    def __len__(self) -> int:
        """Return the batches of an epoch, and begin a new order if one was asked for."""
        with self._lock:
            if self._new_order_wanted:
                self._new_order_wanted = False
                self._epoch += 1
                self.rows = self._order(self.source)
        return super().__len__()

    def _rows_of_next_pass(self) -> Rows:
        with self._lock:
            len(self)
            rows = self._rows
            self._new_order_wanted = True  # nobody calls `on_epoch_end` of a `tf.data.Dataset`
        return rows

    def on_epoch_end(self) -> None:
        """Ask for a new order, for the next pass."""
        with self._lock:
            self._new_order_wanted = True
        super().on_epoch_end()

    def _order(self, source: ImageSource) -> npt.NDArray[np.integer[Any]]:
        rows = sample_order(
            source.num_samples, seed=self.seed, epoch=self._epoch, shuffle=self.shuffle
        )
        return rows if self._share is None else shard_rows(rows, *self._share)

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the order too, which is made again."""
        return {k: v for k, v in super().__getstate__().items() if k != "_rows"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        super().__setstate__({"_rows": self._order(self.source)})
