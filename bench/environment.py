"""What a run was measured on: machine, system and versions. No host name, no user, no path.

Must not know: cases, any framework (versions are read from package metadata).
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from bench.card_monitor import describe_card
from bench.cases import BACKENDS
from loaders.cache import keras_home
from loaders.registry import missing_package

PACKAGES = ("grain", "jax", "keras", "numpy", "pytest-benchmark", "tensorflow", "torch")


def describe() -> dict[str, Any]:
    """Return the environment as it stands in `run.json`."""
    return {
        "os": f"{platform.system()} {platform.release()}",
        "cpu": _cpu_model(),
        "cores": _usable_cores(),
        "card": describe_card(os.environ),
        "memory_bytes": psutil.virtual_memory().total,
        "python": platform.python_version(),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "load_average_1min": round(psutil.getloadavg()[0], 2),
    }


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


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _usable_cores() -> int:
    """Return the logical cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
