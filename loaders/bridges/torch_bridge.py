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
    """The batches of a dataset as tensors on a device; each iteration is a pass."""

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
                yield keras.tree.map_structure(self._tensor, batch, none_is_leaf=False)
        finally:
            batches.close()

    def _tensor(self, array: Any) -> torch.Tensor:
        tensor = torch.from_numpy(array) if isinstance(array, np.ndarray) else array
        # From memory that is not pinned: it is copied before this returns.
        return tensor.to(self._device)


class BridgedWithLength(Bridged):
    """A dataset that has an end: Keras asks its length before the first pass."""

    def __len__(self) -> int:
        num_batches: int = self._dataset.num_batches
        return num_batches


def torch_data_loader(dataset: keras.utils.PyDataset) -> DataLoader[Any]:
    """Return the `DataLoader` of a dataset; see `loaders.bridge`."""
    form = Bridged if dataset.num_batches is None else BridgedWithLength
    device = keras.ops.convert_to_tensor(0).device
    return DataLoader(
        form(dataset, device),
        batch_size=None,
        collate_fn=lambda batch: batch,  # the default makes lists of tuples
        generator=torch.Generator(),  # or every pass would draw from torch's global one
    )
