"""What a case runs on: the backend's version and its device. Imported in a case's own process only.

Must not know: cases, loaders.
"""

from __future__ import annotations

from importlib import metadata

import keras


def describe_backend() -> dict[str, str]:
    """Return `version` of the backend's package and the `device` that it uses.

    The device is `cpu`, or the name of the first accelerator as its driver gives it.
    """
    backend = keras.backend.backend()
    return {"version": metadata.version(backend), "device": _DEVICES[backend]()}


def _tensorflow() -> str:
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    return tf.config.experimental.get_device_details(gpus[0])["device_name"] if gpus else "cpu"


def _jax() -> str:
    import jax

    device = jax.devices()[0]
    return "cpu" if device.platform == "cpu" else str(device.device_kind)


def _torch() -> str:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"


_DEVICES = {"jax": _jax, "tensorflow": _tensorflow, "torch": _torch}
