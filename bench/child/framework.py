"""Imports Keras and its backend, set as the contract asks."""

from __future__ import annotations

import importlib
import random
from collections.abc import Callable, Sequence

import numpy as np


def import_modules(*, backend: str, packages: Sequence[str]) -> None:
    """Import Keras, its backend and the packages of a loader; no device is touched.

    Args:
        backend: the Keras backend that the process was started for.
        packages: that a loader needs, by the names under which they are imported.

    Raises:
        RuntimeError: Keras runs on another backend.
    """
    if "torch" in packages:
        import torch  # noqa: F401  # a process with TensorFlow and torch needs this order
    import keras

    if keras.backend.backend() != backend:
        raise RuntimeError(
            f"Keras runs on `{keras.backend.backend()}`, but the case needs `{backend}`; does "
            "something set KERAS_BACKEND when Python starts?"
        )
    # Whatever the user's keras.json says: it is part of the contract.
    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")
    # So that they do not count as memory of the model or the loader.
    importlib.import_module("keras_loader_bench.bench.child.models")
    for package in packages:
        importlib.import_module(package)


def set_seed(seed: int) -> None:
    """Seed what Keras' initializers and layers draw their own seeds from, and NumPy.

    `keras.utils.set_random_seed` imports TensorFlow on every backend where it is installed, which
    takes seconds in each process. Orders do not come from here: every loader is given its rows.
    """
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  # the global generator, for code that uses it


def import_framework(
    *, backend: str, packages: Sequence[str], join: Callable[[], None] | None = None
) -> dict[str, str]:
    """Import what `import_modules` does, and find the device.

    Args:
        backend: see `import_modules`.
        packages: the same.
        join: called before any device is touched.

    Returns:
        See `bench.child.device.describe_backend`.

    Raises:
        RuntimeError: Keras runs on another backend.
    """
    import_modules(backend=backend, packages=packages)
    if join is not None:
        join()
    from keras_loader_bench.bench.child.device import (
        describe_backend,
        hide_accelerators_from_tensorflow,
    )

    description = describe_backend()
    if description["device"] != "cpu":
        hide_accelerators_from_tensorflow()
    return description
