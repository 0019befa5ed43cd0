"""Reads what this process and its descendants have read from storage."""

from __future__ import annotations

import contextlib
import os

import psutil

from keras_loader_bench.loaders.system.process_tree import members

_BLOCK_BYTES = 512


def disk_bytes_read() -> int | None:
    """Return the bytes that storage has given to this process and its descendants.

    What the page cache has costs none; what the kernel reads ahead for them counts. Of descendants
    that have ended, those count for which somebody has waited.
    https://man7.org/linux/man-pages/man5/proc_pid_io.5.html

    Returns:
        The bytes; `None`: the system does not say.
    """
    own = psutil.Process()
    if not hasattr(own, "io_counters"):  # on macOS
        return None
    import resource

    total = resource.getrusage(resource.RUSAGE_CHILDREN).ru_inblock * _BLOCK_BYTES
    try:
        total += own.io_counters().read_bytes
    except psutil.Error:
        return None
    for child in members(os.getpid())[1:]:
        with contextlib.suppress(psutil.Error):  # it ended meanwhile
            total += child.io_counters().read_bytes
    return int(total)
