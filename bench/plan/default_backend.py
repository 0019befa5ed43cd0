"""Finds the Keras backend to measure if none is given."""

from __future__ import annotations

import contextlib
import json
import os

from keras_loader_bench.loaders.registry import BACKENDS, missing_package
from keras_loader_bench.loaders.sources.keras_home import keras_home


def configured_backend() -> str:
    """Return the backend to measure on where none is named.

    By KERAS_BACKEND, Keras' `keras.json` or its default, as Keras itself does. Keras writes its
    default to that file unasked, so where its package is missing, the first backend that is
    installed takes its place.
    """
    if backend := os.environ.get("KERAS_BACKEND"):
        return backend
    backend = "tensorflow"
    # None, or one that Keras would not read either.
    with contextlib.suppress(OSError, ValueError):
        settings = json.loads((keras_home() / "keras.json").read_text(encoding="utf-8"))
        backend = str(settings.get("backend", backend))
    if backend in BACKENDS and missing_package((backend,)):
        installed = [name for name in BACKENDS if not missing_package((name,))]
        return installed[0] if installed else backend
    return backend
