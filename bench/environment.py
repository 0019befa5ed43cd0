"""What a run was measured on: machine, system and versions. No host name, no user, no path.

Must not know: cases, any framework (versions are read from package metadata).
"""

from __future__ import annotations

import json
import os
import platform
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from loaders.cache import keras_home

PACKAGES = ("grain", "jax", "keras", "numpy", "pytest-benchmark", "tensorflow", "torch")


def describe() -> dict[str, Any]:
    """Return the environment as it stands in `run.json`."""
    return {
        "os": f"{platform.system()} {platform.release()}",
        "cpu": _cpu_model(),
        "cores": _usable_cores(),
        "memory_bytes": psutil.virtual_memory().total,
        "python": platform.python_version(),
        "packages": {name: version for name in PACKAGES if (version := _version(name))},
        "load_average_1min": round(psutil.getloadavg()[0], 2),
    }


def configured_backend() -> str:
    """Return the backend that Keras would run on: by KERAS_BACKEND, its `keras.json` or default."""
    if backend := os.environ.get("KERAS_BACKEND"):
        return backend
    try:
        settings = json.loads((keras_home() / "keras.json").read_text(encoding="utf-8"))
        return str(settings.get("backend", "tensorflow"))
    except (OSError, ValueError):  # none, or one that Keras would not read either
        return "tensorflow"


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
