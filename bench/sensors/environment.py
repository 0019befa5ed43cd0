"""Describes the environment of a run: machine, system, versions. No host name, user or path."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from pathlib import Path

import psutil

from keras_loader_bench.bench.record.environment_record import (
    CardDescription,
    Environment,
    SuiteRecord,
)
from keras_loader_bench.bench.sensors.card_monitor import describe_card
from keras_loader_bench.bench.sensors.machine import cpu_quota_cores, swap_used_bytes
from keras_loader_bench.loaders.registry import BACKENDS, LOADERS, import_name, pip_name
from keras_loader_bench.loaders.system.cores import usable_cores

PACKAGES = sorted(
    {
        *("keras", "numpy", "pytest-benchmark"),
        *BACKENDS,
        *(each for entry in LOADERS.values() for each in entry.packages),
    }
)
"""Packages whose versions are recorded: what measures, and what any loader needs; written as in
`LoaderEntry.packages`."""


def describe() -> Environment:
    """Return the environment as stored in `run.json`."""
    return Environment(
        os=f"{platform.system()} {platform.release()}",
        cpu=_cpu_model(),
        cores=usable_cores(),
        machine_cores=os.cpu_count(),
        card=CardDescription(**describe_card(os.environ)),
        memory_bytes=psutil.virtual_memory().total,
        python=platform.python_version(),
        suite=_suite(Path(__file__).resolve().parents[2]),
        packages={pip_name(each): version for each in PACKAGES if (version := _version(each))},
        cpu_quota_cores=cpu_quota_cores(),
        load_average_1min=round(psutil.getloadavg()[0], 2),
        swap_used_bytes=swap_used_bytes(),
    )


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _suite(project: Path) -> SuiteRecord:
    """Return the version of this suite, and of its checkout, if it is one."""
    version = _version("keras-loader-bench")
    about = project / "pyproject.toml"
    if version is None and about.exists():  # a checkout that is not installed
        version = tomllib.loads(about.read_text(encoding="utf-8"))["project"]["version"]
    git = shutil.which("git")
    if git is None or not (project / ".git").exists():
        return SuiteRecord(version=version)

    described = subprocess.run(  # noqa: S603  # Git, with arguments of our own
        [git, "-C", str(project), "describe", "--always", "--exclude=*", "--abbrev=40", "--dirty"],
        capture_output=True,
        text=True,
        check=False,
    )
    commit = described.stdout.strip()  # nothing where there is no commit yet
    clean = commit.removesuffix("-dirty")
    return SuiteRecord(version=version, commit=clean or None, changed=clean != commit)


def _version(package: str) -> str | None:
    try:
        return metadata.version(pip_name(package))
    except metadata.PackageNotFoundError:
        # tensorflow-cpu and tf-nightly also bring the package `tensorflow`.
        providers = _distributions().get(import_name(package))
    return metadata.version(providers[0]) if providers else None


@cache
def _distributions() -> Mapping[str, list[str]]:
    return metadata.packages_distributions()
