"""Reads the CPU time of this process and its descendants."""

from __future__ import annotations

import contextlib
import os
import time

import psutil

from keras_loader_bench.loaders.system.process_tree import members


def own_cpu_seconds() -> float:
    """Return user + system seconds of this process and all its descendants, dead ones included.

    This process is read to the nanosecond, descendants to the kernel's clock tick (10 ms).
    """
    times = os.times()
    total = time.process_time() + times.children_user + times.children_system
    for child in members(os.getpid())[1:]:
        with contextlib.suppress(psutil.Error):  # it ended meanwhile
            used = child.cpu_times()
            total += used.user + used.system + used.children_user + used.children_system
    return total
