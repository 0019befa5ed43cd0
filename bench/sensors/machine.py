"""Reads the state of the machine: CPU time of all processes, swap, quota, kills for memory."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path

import psutil

from keras_loader_bench.loaders.system.control_groups import CGROUPS, OWN_CGROUP, own_groups


def cpu_seconds() -> dict[str, float]:
    """Return the CPU seconds of the whole machine since it started.

    Returns:
        `busy`: of all processes and the kernel, to the clock tick; `stolen`: in which a hypervisor
        let a virtual machine wait, 0 where the system does not tell.
    """
    times = psutil.cpu_times()
    working = ("user", "nice", "system", "irq", "softirq", "interrupt", "dpc")
    return {
        # Linux counts guests in `user` and `nice` already.
        "busy": sum(getattr(times, name, 0.0) for name in working),
        "stolen": getattr(times, "steal", 0.0),
    }


def swap_used_bytes() -> int | None:
    """Return how much of the swap is in use; `None` if that cannot be read."""
    try:
        return int(psutil.swap_memory().used)
    except (OSError, RuntimeError):
        return None


def swapped_bytes() -> int | None:
    """Return what was swapped in and out since the start; `None` if that cannot be read."""
    try:
        swap = psutil.swap_memory()
    except (OSError, RuntimeError):
        return None
    return int(swap.sin + swap.sout)


def cpu_quota_cores(cgroups: Path = CGROUPS, own: Path = OWN_CGROUP) -> float | None:
    """Return how many cores' time this process may use; `None`: as much as there is.

    The smallest quota of its control group and of all above it; see `cpu.max` (version 2) and
    `cpu.cfs_quota_us` (version 1) in the kernel's documentation of control groups.

    Args:
        cgroups: where control groups are mounted.
        own: says which ones this process is in.
    """
    quotas = map(_quota, own_groups("cpu", cgroups=cgroups, own=own))
    least = min(quotas, default=math.inf)
    return least if math.isfinite(least) else None


def memory_kills(cgroups: Path = CGROUPS, own: Path = OWN_CGROUP) -> int | None:
    """Return how many processes of this control group the kernel has ended for want of memory.

    `oom_kill` in `memory.events` of version 2, or in `memory.oom_control` of version 1; `None`:
    neither can be read.

    Args:
        cgroups: where control groups are mounted.
        own: says which ones this process is in.
    """
    for folder in own_groups("memory", cgroups=cgroups, own=own):
        for name in ("memory.events", "memory.oom_control"):
            with contextlib.suppress(OSError, ValueError):
                lines = (folder / name).read_text(encoding="ascii").splitlines()
                counts = dict(line.split() for line in lines)
                if "oom_kill" in counts:
                    return int(counts["oom_kill"])
    return None


def _quota(folder: Path) -> float:
    """Return the quota of one control group in cores; infinite if there is none."""
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text(encoding="ascii").split()
        else:
            names = ("cpu.cfs_quota_us", "cpu.cfs_period_us")
            quota, period = ((folder / name).read_text(encoding="ascii") for name in names)
        cores = float(quota) / float(period)  # "max" is no number, -1 no quota
    except (OSError, ValueError):
        return math.inf
    return cores if cores > 0 else math.inf
