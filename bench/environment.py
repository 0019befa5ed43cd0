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
from bench.machine import cpu_quota_cores, swap_used_bytes
from loaders.cache import keras_home
from loaders.cores import usable_cores
from loaders.registry import missing_package

PACKAGES = ("grain", "jax", "keras", "numpy", "pytest-benchmark", "tensorflow", "torch")


def describe() -> dict[str, Any]:
    """Return the environment as it stands in `run.json`."""
    return {
        "os": f"{platform.system()} {platform.release()}",
        "cpu": _cpu_model(),
        "cores": usable_cores(),
        "card": describe_card(os.environ),
        "memory_bytes": psutil.virtual_memory().total,
        "python": platform.python_version(),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "cpu_quota_cores": cpu_quota_cores(),
        "load_average_1min": round(psutil.getloadavg()[0], 2),
        "swap_used_bytes": swap_used_bytes(),
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


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
