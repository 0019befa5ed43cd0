"""The rows that the rounds of a case deliver: an order of each epoch, or a rank's share of it."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from keras_loader_bench.bench.plan.case import Case


class CaseRows:
    """The rows of a case.

    Args:
        case: the case.
        num_samples: of its source.
        seed: of the orders.
        rank: which of the case's ranks this process is, from 0.
    """

    def __init__(self, case: Case, num_samples: int, *, seed: int, rank: int = 0) -> None:
        self._case = case
        self._num_samples = num_samples
        self._seed = seed
        self._rank = rank

    def of_epoch(self, epoch: int, loader: Any = None) -> Any:
        """Return the rows of an epoch, as an array.

        Args:
            epoch: number of the order.
            loader: what delivers them, where it may have an order of its own; see `only_rows`.
        """
        from keras_loader_bench.loaders.order import sample_order
        from keras_loader_bench.loaders.shards import shard_rows

        case = self._case
        if case.image_size and (only := getattr(loader, "only_rows", None)) is not None:
            return only
        # Some containers are only read from the front: no loader of images shuffles unasked.
        shuffle = not case.image_size or case.image_order == "shuffled"
        rows = sample_order(self._num_samples, seed=self._seed, epoch=epoch, shuffle=shuffle)
        if case.ranks == 1:
            return rows
        return shard_rows(rows, (self._rank, case.ranks), case.batch_size)

    @cached_property
    def samples(self) -> int:
        """How many an epoch of this process has."""
        return self._num_samples if self._case.ranks == 1 else len(self.of_epoch(0))

    def whole_batches(self, count: int) -> int:
        """Return the samples of that many batches, at least one; a whole epoch at most."""
        return min(max(1, count) * self._case.batch_size, self.samples)
