"""The PyTorch backend."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import torch
from torch.utils.data import DataLoader, IterableDataset

FETCHES_BEFORE_STEP = True
"""The trainer's loop takes a batch and then begins a step."""


def version() -> str:
    """Return the version of torch."""
    return str(torch.__version__)


def device() -> str:
    """Return `cpu`, or the name of the accelerator that Keras puts tensors on."""
    used = _device()
    return torch.cuda.get_device_name(used) if used.type == "cuda" else str(used)


def _device() -> Any:
    """Return where Keras puts tensors: KERAS_TORCH_DEVICE, or what it found."""
    return keras.ops.convert_to_tensor(0).device


def synchronize(model: Any) -> None:
    """Wait for the accelerator, if there is one."""
    wait_for([])


def wait_for(tensors: Sequence[Any]) -> None:
    """Wait for the accelerator, if there is one."""
    used = _device()
    if used.type == "cuda":
        torch.cuda.synchronize(used)
    elif used.type == "mps":
        torch.mps.synchronize()


def memory() -> dict[str, int] | None:
    """Return `torch.cuda.max_memory_allocated`, what is allocated now, and what is pinned."""
    used = _device()
    if used.type != "cuda":
        return None
    found = {
        "peak_device_bytes": torch.cuda.max_memory_allocated(used),
        "device_bytes_in_use": torch.cuda.memory_allocated(used),
    }
    with contextlib.suppress(AttributeError, KeyError):  # older releases do not tell
        stats = torch.cuda.host_memory_stats()
        found["pinned_peak_bytes"] = int(stats["allocated_bytes.peak"])
    return found


def reset_peak_memory() -> None:
    """Let both peaks count from now on."""
    torch.cuda.reset_peak_memory_stats(_device())
    torch.cuda.reset_peak_host_memory_stats()


class Repeated(IterableDataset[Any]):
    """Batches that are there already.

    Args:
        runs: batches, and how often each comes in a row.
    """

    def __init__(self, runs: Sequence[tuple[Any, int]]) -> None:
        self._runs = runs

    def __len__(self) -> int:
        return sum(times for _, times in self._runs)

    def __iter__(self) -> Iterator[Any]:
        for batch, times in self._runs:
            for _ in range(times):
                yield batch


def repeat(runs: Sequence[tuple[Any, int]], *, epochs: int) -> dict[str, Any]:
    """Return a `DataLoader`, which Keras uses as it is."""
    # A generator of its own, or every pass would draw from torch's global one.
    own = torch.Generator()
    return {"x": DataLoader(Repeated(runs), batch_size=None, generator=own)}


def null_step(model: Any, count: Callable[[Any], dict[str, Any]], args: Any) -> Any:
    """Count; Keras' own step would move the batch to the device here."""
    (batch,) = args
    parts = batch if isinstance(batch, tuple) else (batch,)
    return count(tuple(map(_tensors, parts)))


def _tensors(part: Any) -> Any:
    """Return a part of a batch on the device; most are one array, and this runs in every step."""
    if hasattr(part, "shape"):
        return keras.ops.convert_to_tensor(part)
    return keras.tree.map_structure(keras.ops.convert_to_tensor, part, none_is_leaf=False)
