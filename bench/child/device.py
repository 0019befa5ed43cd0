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


def device_memory() -> dict[str, Any]:
    """Return what the framework's own allocators have handed out for the first accelerator.

    `tf.config.experimental.get_memory_info`, `torch.cuda.max_memory_allocated` and JAX'
    `Device.memory_stats`: what the framework handed out, not what it holds in reserve. TensorFlow
    and torch count from `reset_peak_memory` on, JAX from the start of the process.

    Returns:
        In bytes, `peak_device_bytes` and `device_bytes_in_use` now; `pinned_peak_bytes`, the peak
        of memory of the host that is pinned for transfers, of torch alone (`None`: another
        backend). `reason` says why the first two are `None` where they are not available.
    """
    record = {
        "peak_device_bytes": None,
        "device_bytes_in_use": None,
        "pinned_peak_bytes": None,
        "reason": None,
    }
    backend = keras.backend.backend()
    if _DEVICES[backend]() == "cpu":
        return {**record, "reason": "the backend runs on the CPU"}
    try:
        found = _MEMORIES[backend]()
    except Exception as error:  # whatever a driver or an allocator raises: a missing column
        return {**record, "reason": f"{type(error).__name__}: {error}"}
    if found is None:
        return {**record, "reason": "its allocator keeps no statistics"}
    return {**record, **found}


def reset_peak_memory() -> None:
    """Let `device_memory` count from now on, where the backend can."""
    with contextlib.suppress(Exception):  # `device_memory` says what is wrong
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


def _memory_tensorflow() -> dict[str, int] | None:
    import tensorflow as tf

    info = tf.config.experimental.get_memory_info("GPU:0")
    return {"peak_device_bytes": int(info["peak"]), "device_bytes_in_use": int(info["current"])}


def _memory_jax() -> dict[str, int] | None:
    import jax

    stats = jax.devices()[0].memory_stats()
    if stats is None:
        return None
    return {
        "peak_device_bytes": int(stats["peak_bytes_in_use"]),
        "device_bytes_in_use": int(stats["bytes_in_use"]),
    }


def _memory_torch() -> dict[str, int] | None:
    import torch

    device = _torch_device()
    if device.type != "cuda":
        return None
    found = {
        "peak_device_bytes": torch.cuda.max_memory_allocated(device),
        "device_bytes_in_use": torch.cuda.memory_allocated(device),
    }
    with contextlib.suppress(AttributeError, KeyError):  # torch before 2.7
        stats = torch.cuda.host_memory_stats()
        found["pinned_peak_bytes"] = int(stats["allocated_bytes.peak"])
    return found


def _reset_tensorflow() -> None:
    import tensorflow as tf

    tf.config.experimental.reset_memory_stats("GPU:0")


def _reset_torch() -> None:
    import torch

    torch.cuda.reset_peak_memory_stats(_torch_device())
    torch.cuda.reset_peak_host_memory_stats()


_DEVICES = {"jax": _jax, "tensorflow": _tensorflow, "torch": _torch}
_WAITS = {"jax": _wait_jax, "tensorflow": _wait_tensorflow, "torch": _wait_torch}
_MEMORIES = {"jax": _memory_jax, "tensorflow": _memory_tensorflow, "torch": _memory_torch}
_RESETS = {"jax": lambda: None, "tensorflow": _reset_tensorflow, "torch": _reset_torch}
