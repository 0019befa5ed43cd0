"""Describes the backend and device of a case, and the device memory in use."""

from __future__ import annotations

import contextlib
from typing import Any

import keras

from keras_loader_bench.bench.child.backends import current


def describe_backend() -> dict[str, str]:
    """Return `version` of the backend and the `device` that it uses.

    The device is `cpu`, or the name of the first accelerator as its driver gives it.
    """
    backend = current()
    return {"version": backend.version(), "device": backend.device()}


def device_memory() -> dict[str, Any]:
    """Return what the framework's own allocators have handed out for the first accelerator.

    `tf.config.experimental.get_memory_info`, `torch.cuda.max_memory_allocated` and JAX'
    `Device.memory_stats`: what the framework handed out, not what it holds in reserve. TensorFlow
    and torch count from `reset_peak_memory` on, JAX from the start of the process.

    Returns:
        In bytes, `peak_device_bytes` and `device_bytes_in_use` now; `pinned_peak_bytes`, the peak
        of memory of the host that is pinned for transfers, of torch alone (`None`: another
        backend). `reason` says why the first two are `None` if they are not available.
    """
    record = {
        "peak_device_bytes": None,
        "device_bytes_in_use": None,
        "pinned_peak_bytes": None,
        "reason": None,
    }
    backend = current()
    if backend.device() == "cpu":
        return {**record, "reason": "the backend runs on the CPU"}
    try:
        found = backend.memory()
    except Exception as error:  # whatever a driver or an allocator raises: a missing column
        return {**record, "reason": f"{type(error).__name__}: {error}"}
    if found is None:
        return {**record, "reason": "its allocator keeps no statistics"}
    return {**record, **found}


def reset_peak_memory() -> None:
    """Let `device_memory` count from now on, where the backend can."""
    with contextlib.suppress(Exception):  # `device_memory` says what is wrong
        current().reset_peak_memory()


def hide_accelerators_from_tensorflow() -> None:
    """Keep TensorFlow on the CPU in a process that trains on another backend.

    It comes with tf.data, or because Keras imports it, and would take a share of the card.
    """
    if keras.backend.backend() != "tensorflow":
        with contextlib.suppress(ImportError, RuntimeError):  # not there; has begun to use one
            import tensorflow as tf

            tf.config.set_visible_devices([], "GPU")
