"""The bridge on torch: a `DataLoader` that hands batches over without copying them.

Keras wraps a `PyDataset` in a `DataLoader` too, but makes a copy of every array for it.
Must not know: any particular dataset.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import torch
from torch.utils.data import DataLoader, IterableDataset

from keras_loader_bench.loaders.bridges.py_dataset_bridge import Passes, read_ahead


class Bridged(IterableDataset[Any]):
    """The batches of a dataset as tensors; each iteration is a pass.

    Args:
        dataset: the dataset.
        device: where the model is.
    """

    def __init__(self, dataset: keras.utils.PyDataset, device: torch.device) -> None:
        self._dataset = dataset
        self._passes = Passes(dataset)
        self._device = device

    def __iter__(self) -> Iterator[Any]:
        num_batches = self._passes.begin()
        batches = read_ahead(self._dataset)
        index = 0
        try:
            while num_batches is None or index < num_batches:
                batch = batches[index]
                index += 1
                if index == num_batches:  # now: nobody may ask for one more
                    self._passes.end()
                yield self._tensors(batch)
        finally:
            batches.close()

    def _tensors(self, batch: Any) -> Any:
        if type(batch) is tuple and all(type(part) is np.ndarray for part in batch):
            return tuple(map(self._tensor, batch))  # does without 20 us of going through it
        return keras.tree.map_structure(self._tensor, batch, none_is_leaf=False)

    def _tensor(self, array: Any) -> torch.Tensor:
        # `as_tensor` would let go of Python's lock, and a thread that reads ahead would take it.
        tensor = torch.from_numpy(array) if isinstance(array, np.ndarray) else array
        # From memory that is not pinned, which is copied before this returns: nobody reads the
        # batch's memory later.
        return tensor if self._device.type == "cpu" else tensor.to(self._device)


class BridgedWithLength(Bridged):
    """A dataset that has an end: Keras asks its length before the first pass."""

    def __len__(self) -> int:
        num_batches: int = self._dataset.num_batches
        return num_batches


class BridgedLoader(DataLoader[Any]):
    """Iterates over its dataset itself.

    `DataLoader` sends each batch through a profiler's mark, a sampler, a fetcher and `collate_fn`,
    though there are no workers and the batches are made already: some 50 us. And for each pass it
    draws from torch's global generator.
    """

    def __init__(self, dataset: Bridged) -> None:
        super().__init__(dataset, batch_size=None)

    def __iter__(self) -> Any:
        return iter(self.dataset)


def torch_data_loader(dataset: keras.utils.PyDataset) -> DataLoader[Any]:
    """Return the `DataLoader` of a dataset; see `loaders.bridge`.

    Args:
        dataset: its batches are structures of NumPy arrays or tensors.
    """
    form = Bridged if dataset.num_batches is None else BridgedWithLength
    device = keras.ops.convert_to_tensor(0).device
    return BridgedLoader(form(dataset, device))
