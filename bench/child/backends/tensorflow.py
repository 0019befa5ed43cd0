"""The TensorFlow backend."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

FETCHES_BEFORE_STEP = False
"""The compiled function takes its batch from the iterator."""


COUNTS_ALL_RANKS = False


def join(rank: int, ranks: int, address: str) -> None:
    """Refuse: see `bench.plan.case.TRAINS_ALONE`."""
    raise NotImplementedError("Ranks cannot train together on TensorFlow.")


def leave() -> None:
    """Do nothing: nobody can join."""


def together(model: Any) -> Any:
    """Refuse, as `join` does."""
    raise NotImplementedError("Ranks cannot train together on TensorFlow.")


def version() -> str:
    """Return the version of TensorFlow, by whatever name it was installed."""
    return str(tf.__version__)


def device() -> str:
    """Return `cpu`, or the name of the first GPU."""
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return "cpu"
    return str(tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU"))


def synchronize(model: Any) -> None:
    """Wait for all devices."""
    wait_for([])


def wait_for(tensors: Sequence[Any]) -> None:
    """Wait for all devices."""
    tf.test.experimental.sync_devices()  # nothing public waits for a device


def memory() -> dict[str, int] | None:
    """Return `tf.config.experimental.get_memory_info`."""
    info = tf.config.experimental.get_memory_info("GPU:0")
    return {"peak_device_bytes": int(info["peak"]), "device_bytes_in_use": int(info["current"])}


def reset_peak_memory() -> None:
    """Let the peak count from now on."""
    tf.config.experimental.reset_memory_stats("GPU:0")


def repeat(runs: Sequence[tuple[Any, int]], *, epochs: int) -> dict[str, Any]:
    """Return a dataset that never leaves TensorFlow's runtime."""
    # Batches that come no time are appended too: two shapes together leave the batch size open, as
    # loaders do. A fixed one would train with another, perhaps faster graph than theirs.
    parts = [tf.data.Dataset.from_tensors(batch).repeat(times) for batch, times in runs]
    return {"x": functools.reduce(tf.data.Dataset.concatenate, parts)}


def null_step(model: Any, count: Callable[[Any], dict[str, Any]], args: Any) -> Any:
    """Count; the only argument is the batch."""
    return count(*args)
