"""A process and its descendants: who they are, how much CPU they used, and how they end.

Must not know: what the processes do.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time

import psutil


def members(pid: int) -> list[psutil.Process]:
    """Return a process and its living descendants; an empty list when it is gone."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


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


def kill_tree(pid: int) -> None:
    """End a process, its descendants and its process group; return when they are gone."""
    processes = members(pid)
    if hasattr(os, "killpg"):
        # Also reaches descendants whose own parent is gone. The child leads its group.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
    for process in processes:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(processes, timeout=5)


def end_with_parent() -> None:
    """Make this process and its group end when its parent does, however the parent ends."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        if hasattr(os, "killpg"):
            os.killpg(os.getpgid(0), signal.SIGKILL)
        os._exit(1)

    threading.Thread(target=watch, name="end-with-parent", daemon=True).start()
