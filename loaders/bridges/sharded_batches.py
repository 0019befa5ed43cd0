"""The share of a `PyDataset` that one of several ranks trains on: whole batches of it.

Must not know: any backend.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_loader_bench.loaders.bridges.passes import ENDLESS
from keras_loader_bench.loaders.bridges.returned import num_batches_of
from keras_loader_bench.loaders.shards import RankOf, check_shard


class ShardedBatches(keras.utils.PyDataset):
    """Every `ranks`-th batch of a dataset: no batch is one of two ranks, and each has as many.

    Batches that are fewer than ranks are left out of the epoch. Which batches a rank has is dealt
    anew for each epoch, by a generator that is the same on all ranks.

    Keras calls `on_epoch_end` before the first epoch too. A new deal takes effect when the length
    is asked for next, as with the order of a `CIFAR10Sequence`.

    Args:
        dataset: the same on every rank.
        shard: the number of this rank and how many there are.
        seed: of the deals; `None`: a rank has the same batches in every epoch.

    Raises:
        ValueError: `shard` is none, or there are fewer batches than ranks.
    """

    def __init__(
        self, dataset: keras.utils.PyDataset, shard: RankOf, *, seed: int | None = 0
    ) -> None:
        super().__init__(workers=dataset.workers, max_queue_size=dataset.max_queue_size)
        self._dataset = dataset
        self._rank, self._ranks = check_shard(shard)
        self._seed = seed
        self._epoch = 0
        self._new_deal_wanted = False
        self._dealt: Sequence[int] = self._deal()

    @property
    def num_batches(self) -> int | None:
        """Batches of a pass of this rank, dealt anew if that was wanted; `None`: without end."""
        if self._new_deal_wanted:
            self._new_deal_wanted = False
            self._epoch += 1
            self._dealt = self._deal()
        return None if num_batches_of(self._dataset) is None else len(self._dealt)

    def __getitem__(self, index: int) -> Any:
        return self._dataset[self._dealt[index]]

    def _deal(self) -> Sequence[int]:
        count = num_batches_of(self._dataset)
        if count is None:
            return ENDLESS[self._rank :: self._ranks]
        each = count // self._ranks
        if not each:
            raise ValueError(
                f"`dataset` must have at least one batch for each of {self._ranks} ranks, got "
                f"{count}; use smaller batches or fewer ranks."
            )
        order = np.arange(count)
        if self._seed is not None:
            np.random.default_rng([self._seed, self._epoch]).shuffle(order)
        dealt: list[int] = order[self._rank :: self._ranks][:each].tolist()
        return dealt

    def on_epoch_begin(self) -> None:
        """Tell the dataset."""
        self._dataset.on_epoch_begin()

    def on_epoch_end(self) -> None:
        """Tell the dataset, and ask for a new deal for the next pass."""
        self._dataset.on_epoch_end()
        self._new_deal_wanted = True
