"""The bridge on torch: a `DataLoader` that hands batches over without copying them.

Keras wraps a `PyDataset` in a `DataLoader` too, but makes a copy of every array for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader, IterableDataset

from keras_loader_bench.loaders.bridges.py_dataset_bridge import Passes, read_ahead
from keras_loader_bench.loaders.sequence.buffers import new_memory


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
        # It is copied before this returns, so that the memory may be used again.
        return tensor.to(self._device)


class BridgedWithLength(Bridged):
    """A dataset that has an end: Keras asks its length before the first pass."""

    def __len__(self) -> int:
        num_batches: int = self._dataset.num_batches
        return num_batches


def pinned_memory(num_bytes: int) -> npt.NDArray[np.uint8]:
    """Return memory from which a card copies without another copy on the host.

    On an H100, batches of 12 MiB came 1.2 to 1.8 times as fast out of such buffers where threads
    read ahead or the card was busy, and no slower elsewhere; see `copies.md` of its reference runs.
    """
    try:
        pinned = torch.empty(num_bytes, dtype=torch.uint8, pin_memory=True)
    except RuntimeError:  # no more can be pinned; other memory takes longer to copy
        return new_memory(num_bytes)
    array: npt.NDArray[np.uint8] = pinned.numpy()
    return array


def torch_data_loader(dataset: keras.utils.PyDataset) -> DataLoader[Any]:
    """Return the `DataLoader` of a dataset; see `loaders.bridge`."""
    form = Bridged if dataset.num_batches is None else BridgedWithLength
    device = keras.ops.convert_to_tensor(0).device
    if device.type == "cuda" and hasattr(dataset, "use_memory"):
        dataset.use_memory(pinned_memory)
    return DataLoader(
        form(dataset, device),
        batch_size=None,
        collate_fn=lambda batch: batch,  # the default makes lists of tuples
        generator=torch.Generator(),  # or every pass would draw from torch's global one
    )
