"""Makes batches of twice the size out of an input's own: the same samples in the same order."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_loader_bench.bench.child.inputs.around_dataset import AroundDataset
from keras_loader_bench.bench.child.inputs.batch_form import as_fit_takes_it, samples_of


class JoinedBatches(AroundDataset):
    """A `PyDataset` of which each batch is two of another one; of an odd number the last is one.

    Args:
        dataset: is asked for batches; it has a number of them.
    """

    @property
    def num_batches(self) -> int:
        """Half as many as the dataset has, rounded up."""
        count: int = self.dataset.num_batches
        return -(-count // 2)

    def __getitem__(self, index: int) -> Any:
        numbers = [n for n in (2 * index, 2 * index + 1) if n < self.dataset.num_batches]
        return joined([self.dataset[number] for number in numbers])


def joined(batches: list[Any]) -> Any:
    """Return one batch with the samples of several, in their order."""

    def join(*parts: Any) -> Any:
        return None if parts[0] is None else np.concatenate([np.asarray(each) for each in parts])

    return keras.tree.map_structure(join, *map(as_fit_takes_it, batches), none_is_leaf=True)


def joined_dataset(dataset: Any) -> Any:
    """Return a tf.data dataset with batches of twice the size of the first one."""
    first = next(iter(dataset.take(1)))
    return dataset.rebatch(2 * samples_of(first))


def joined_loader(loader: Any) -> Any:
    """Return a `DataLoader` with batches of twice the size.

    Raises:
        ValueError: it has a batch sampler of its own, or makes no batches.
    """
    from torch.utils.data import BatchSampler, DataLoader, IterableDataset

    if loader.batch_size is None or type(loader.batch_sampler) not in (BatchSampler, type(None)):
        raise ValueError("it makes its batches itself")
    copied = (
        *("num_workers", "collate_fn", "pin_memory", "drop_last", "timeout", "worker_init_fn"),
        *("multiprocessing_context", "generator", "prefetch_factor", "persistent_workers"),
    )
    how = {name: getattr(loader, name) for name in copied}
    if not isinstance(loader.dataset, IterableDataset):
        how["sampler"] = loader.sampler
    return DataLoader(loader.dataset, batch_size=2 * loader.batch_size, **how)
