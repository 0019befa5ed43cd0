"""A process and its descendants: who they are and how they end.

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


def kill_tree(pid: int) -> None:
    """End a process, its descendants and its process group; return when they are gone."""
    processes = members(pid)
    if hasattr(os, "killpg"):
        # Also reaches descendants whose own parent is gone. The process leads its group.
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
