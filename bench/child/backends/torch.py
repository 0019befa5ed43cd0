"""The PyTorch backend."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import torch
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, IterableDataset

FETCHES_BEFORE_STEP = True
"""The trainer's loop takes a batch and then begins a step."""


COUNTS_ALL_RANKS = False
"""Each rank has its own part of a batch."""


class Together(keras.Model):
    """A model whose gradients are averaged over all ranks while they are computed.

    By torch's own `DistributedDataParallel`, which
    https://keras.io/guides/distributed_training_with_torch/ puts around a Keras model. Here `fit`
    trains, and not a loop of its own: so the model that it trains calls the wrapped one.

    Args:
        model: the model, built.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.wrapped = model
        # Past Keras, which would track it as a second layer with the same weights.
        object.__setattr__(self, "_parallel", (DistributedDataParallel(model),))

    def call(self, x: Any, training: bool | None = None) -> Any:
        """Return the model's outputs."""
        return self._parallel[0](x) if training else self.wrapped(x)


def join(rank: int, ranks: int, address: str) -> None:
    """Make a process group: NCCL where Keras uses CUDA, else Gloo."""
    kind = "nccl" if _device().type == "cuda" else "gloo"
    where = f"tcp://{address}"
    torch.distributed.init_process_group(kind, init_method=where, rank=rank, world_size=ranks)


def leave() -> None:
    """Do nothing: only `together` makes use of the group."""


def together(model: Any) -> Any:
    """Return a model of a model; see `Together`."""
    return Together(model)


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
