"""What a case runs on: the backend's version and its device. Imported in a case's own process only.

Must not know: cases, loaders.
"""

from __future__ import annotations

import contextlib
from importlib import metadata
from typing import Any

import keras


def describe_backend() -> dict[str, str]:
    """Return `version` of the backend's package and the `device` that it uses.

    The device is `cpu`, or the name of the first accelerator as its driver gives it.
    """
    backend = keras.backend.backend()
    return {"version": metadata.version(backend), "device": _DEVICES[backend]()}


def synchronize(model: Any) -> None:
    """Wait until the device has done everything that a model's steps have asked it for.

    Keras reads the logs of the last step when an epoch ends, which waits for that step on most
    paths; this does not rely on it.

    Args:
        model: the model that was fitted last.
    """
    _WAITS[keras.backend.backend()](model)


def peak_memory() -> dict[str, Any]:
    """Return the peak of the framework's own allocator on the first accelerator.

    `tf.config.experimental.get_memory_info`, `torch.cuda.max_memory_allocated` and JAX'
    `Device.memory_stats`: what the framework handed out, not what it holds in reserve. TensorFlow
    and torch count from `reset_peak_memory` on, JAX from the start of the process.

    Returns:
        `peak_device_bytes`, and `reason` why it is `None` where it is not available.
    """
    backend = keras.backend.backend()
    if _DEVICES[backend]() == "cpu":
        return {"peak_device_bytes": None, "reason": "the backend runs on the CPU"}
    try:
        peak = _PEAKS[backend]()
    except Exception as error:  # whatever a driver or an allocator raises: a missing column
        return {"peak_device_bytes": None, "reason": f"{type(error).__name__}: {error}"}
    if peak is None:
        return {"peak_device_bytes": None, "reason": "its allocator keeps no statistics"}
    return {"peak_device_bytes": int(peak), "reason": None}


def reset_peak_memory() -> None:
    """Let `peak_memory` count from now on, where the backend can."""
    with contextlib.suppress(Exception):  # `peak_memory` says what is wrong
        _RESETS[keras.backend.backend()]()


def hide_accelerators_from_tensorflow() -> None:
    """Keep TensorFlow on the CPU in a process that trains on another backend.

    It comes with tf.data, or because Keras imports it, and would take a share of the card.
    """
    if keras.backend.backend() != "tensorflow":
        with contextlib.suppress(ImportError, RuntimeError):  # not there; has begun to use one
            import tensorflow as tf

            tf.config.set_visible_devices([], "GPU")


def _tensorflow() -> str:
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return "cpu"
    return str(tf.config.experimental.get_device_details(gpus[0]).get("device_name", "GPU"))


def _jax() -> str:
    import jax

    device = jax.devices()[0]
    return "cpu" if device.platform == "cpu" else str(device.device_kind)


def _torch() -> str:
    import torch

    device = _torch_device()
    return torch.cuda.get_device_name(device) if device.type == "cuda" else str(device)


def _torch_device() -> Any:
    """Return where Keras puts tensors: KERAS_TORCH_DEVICE, or what it found."""
    return keras.ops.convert_to_tensor(0).device


def _wait_tensorflow(model: Any) -> None:
    import tensorflow as tf

    tf.test.experimental.sync_devices()


def _wait_jax(model: Any) -> None:
    import jax

    variables = [*model.variables, *model.metrics_variables]
    jax.block_until_ready([variable.value for variable in variables])


def _wait_torch(model: Any) -> None:
    import torch

    device = _torch_device()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def _peak_tensorflow() -> int | None:
    import tensorflow as tf

    return int(tf.config.experimental.get_memory_info("GPU:0")["peak"])


def _peak_jax() -> int | None:
    import jax

    stats = jax.devices()[0].memory_stats()
    return None if stats is None else int(stats["peak_bytes_in_use"])


def _peak_torch() -> int | None:
    import torch

    device = _torch_device()
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else None


def _reset_tensorflow() -> None:
    import tensorflow as tf

    tf.config.experimental.reset_memory_stats("GPU:0")


def _reset_torch() -> None:
    import torch

    torch.cuda.reset_peak_memory_stats(_torch_device())


_DEVICES = {"jax": _jax, "tensorflow": _tensorflow, "torch": _torch}
_WAITS = {"jax": _wait_jax, "tensorflow": _wait_tensorflow, "torch": _wait_torch}
_PEAKS = {"jax": _peak_jax, "tensorflow": _peak_tensorflow, "torch": _peak_torch}
_RESETS = {"jax": lambda: None, "tensorflow": _reset_tensorflow, "torch": _reset_torch}
