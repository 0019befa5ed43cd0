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

from keras_loader_bench.loaders.bridges.passes import Passes, fit_shuffles
from keras_loader_bench.loaders.bridges.py_dataset_bridge import read_ahead
from keras_loader_bench.loaders.bridges.returned import fields, num_batches_of
from keras_loader_bench.loaders.sequence.buffers import new_memory

SHARED = {np.dtype(kind) for kind in "?bhilqBefdFD"}
"""Dtypes of which Keras makes the tensor that torch makes without a copy."""


class Bridged(IterableDataset[Any]):
    """The batches of a dataset as tensors on a device; each iteration is a pass."""

    def __init__(self, dataset: keras.utils.PyDataset, device: torch.device) -> None:
        self._dataset = dataset
        self._passes = Passes(dataset)
        self._device = device

    def __iter__(self) -> Iterator[Any]:
        number, order = self._passes.begin(shuffle=fit_shuffles())
        batches = read_ahead(self._dataset, order)
        try:
            for place, index in enumerate(order):
                batch = batches[place]
                self._passes.has_read(number)  # now: nobody may ask for one more
                yield self._tensors(batch, index)
        finally:
            batches.close()

    def _tensors(self, batch: Any, index: int) -> Any:
        try:
            return keras.tree.map_structure(self._tensor, batch, none_is_leaf=False)
        except Exception:
            for name, value in fields(batch):
                self._check(name, value, index)
            raise

    def _check(self, name: str, value: Any, index: int) -> None:
        try:
            keras.tree.map_structure(self._tensor, value, none_is_leaf=False)
        except (TypeError, ValueError) as error:
            raise ValueError(
                f"Batch {index}: `{name}` is a `{type(value).__name__}`, of which Keras makes "
                f"no tensor on torch ({error}); return an array of numbers from `__getitem__`."
            ) from error

    def _tensor(self, array: Any) -> torch.Tensor:
        if isinstance(array, torch.Tensor):
            return array.to(self._device)
        if (
            isinstance(array, np.ndarray)
            and array.dtype in SHARED
            and array.flags.writeable
            and min(array.strides, default=0) >= 0
        ):
            # It is copied before this returns, so that the memory may be used again.
            return torch.from_numpy(array).to(self._device)
        tensor: torch.Tensor = keras.ops.convert_to_tensor(array)  # it copies, as for a PyDataset
        return tensor


class BridgedWithLength(Bridged):
    """A dataset that has an end: Keras asks its length before the first pass."""

    def __len__(self) -> int:
        num_batches = num_batches_of(self._dataset)
        assert num_batches is not None
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
    form = Bridged if num_batches_of(dataset) is None else BridgedWithLength
    device = keras.ops.convert_to_tensor(0).device
    if device.type == "cuda" and hasattr(dataset, "use_memory"):
        dataset.use_memory(pinned_memory)
    return DataLoader(
        form(dataset, device),
        batch_size=None,
        collate_fn=lambda batch: batch,  # the default makes lists of tuples
        generator=torch.Generator(),  # or every pass would draw from torch's global one
    )
