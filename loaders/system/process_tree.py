"""Lists and ends a process and its descendants, and says what they hold open."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path

import psutil


def members(pid: int) -> list[psutil.Process]:
    """Return a process, its living descendants, and everybody in the session that it leads.

    The session has those whose own parent is gone: they are nobody's descendants any more.
    """
    try:
        root = psutil.Process(pid)
        descendants = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        descendants = []
    return list(dict.fromkeys([*descendants, *session_members(pid)]))


def session_members(pid: int) -> list[psutil.Process]:
    """Return the processes of the session that a process leads; none if it leads none."""
    if not hasattr(os, "getsid"):
        return []
    found = []
    for other in psutil.pids():
        with contextlib.suppress(OSError, psutil.NoSuchProcess):  # it ends meanwhile
            if os.getsid(other) == pid:
                found.append(psutil.Process(other))
    return found


def open_files(pid: int) -> list[tuple[Path, int]]:
    """Return path and inode of everything that a process holds open; nothing if it is gone.

    Devices too, which `psutil.Process.open_files` leaves out. Linux only.
    """
    found = []
    with contextlib.suppress(OSError):  # it is gone, or another user's
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(OSError):  # closed meanwhile
                found.append((descriptor.readlink(), descriptor.stat().st_ino))
    return found


CARETAKERS = ("resource_tracker", "torch_shm_manager")
"""Processes that remove what others have left in /dev/shm when these are gone, and then end."""

CARETAKERS_S = 1.0
"""How long they may take."""


def kill_tree(pid: int) -> None:
    """End a process, all its `members` and its process group; return when they are gone."""
    processes = members(pid)
    caretakers = kill_each(processes, spare_caretakers=True)
    psutil.wait_procs(caretakers, timeout=CARETAKERS_S)
    if hasattr(os, "killpg"):
        # Also reaches descendants whose own parent is gone. The process leads its group.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGKILL)
    kill_each(caretakers, spare_caretakers=False)
    psutil.wait_procs(processes, timeout=5)


def kill_each(
    processes: Iterable[psutil.Process], *, spare_caretakers: bool
) -> list[psutil.Process]:
    """End processes; return those that were spared, as they have others to clean up after."""
    spared = []
    for process in processes:
        with contextlib.suppress(psutil.Error):
            if spare_caretakers and any(name in " ".join(process.cmdline()) for name in CARETAKERS):
                spared.append(process)
            else:
                process.kill()
    return spared


def signal_name(number: int) -> str:
    """Return what a signal is called, such as `SIGKILL`."""
    try:
        return signal.Signals(number).name
    except ValueError:  # a real-time signal
        return f"signal {number}"


def die_first() -> None:
    """Let the kernel end this process rather than any other one when memory runs out. Linux."""
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def end_with_parent(parent: int | None = None) -> None:
    """Make this process end when its parent does, however the parent ends.

    On Linux the kernel sees to it, whatever this process does meanwhile; "parent" is the thread
    that started it (https://man7.org/linux/man-pages/man2/prctl.2.html, PR_SET_PDEATHSIG).
    Elsewhere a thread looks twice a second, and also ends the process group.

    Args:
        parent: the parent's process id; `None`: whoever it is now.
    """
    parent = os.getppid() if parent is None else parent
    if _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL):
        if os.getppid() != parent:  # it had gone before the kernel was told
            os._exit(1)
        return

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        if hasattr(os, "killpg"):
            os.killpg(os.getpgid(0), signal.SIGKILL)
        os._exit(1)

    threading.Thread(target=watch, name="end-with-parent", daemon=True).start()


def outlive_parent() -> None:
    """Take `end_with_parent` back, on Linux: this process notices by itself, and cleans up."""
    _prctl(_PR_SET_PDEATHSIG, 0)


def adopt_orphans() -> None:
    """Let descendants whose own parent ends become children of this process. Linux.

    So a daemon stays one of its `members` (PR_SET_CHILD_SUBREAPER).
    """
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def _prctl(option: int, value: int) -> bool:
    """Call the kernel's `prctl`; return whether there is one and it agreed."""
    if sys.platform != "linux":
        return False
    return bool(ctypes.CDLL(None).prctl(option, value, 0, 0, 0) == 0)
