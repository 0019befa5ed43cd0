"""Objects in /dev/shm: POSIX shared memory and semaphores, which stay until they are removed."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import psutil

from keras_loader_bench.loaders.system.process_tree import open_files

DEV_SHM = Path("/dev/shm")  # noqa: S108  # where Linux keeps POSIX shared memory; nothing is written

LEFT_BY_PROCESSES = ("sem.mp-", "psm_", "torch_")
"""How the objects of multiprocessing (semaphores, shared memory) and of torch are called."""

Key = tuple[str, int]
"""Name and inode of an object."""


def shared_objects() -> dict[Key, int]:
    """Return this user's objects, and the bytes that are allocated for each."""
    found = {}
    with contextlib.suppress(OSError):  # a system without it
        for entry in os.scandir(DEV_SHM):
            with contextlib.suppress(OSError):  # it is gone
                stat = entry.stat(follow_symlinks=False)
                if stat.st_uid == os.getuid():
                    found[entry.name, stat.st_ino] = stat.st_blocks * 512
    return found


def mapped_inodes(pid: int) -> set[int]:
    """Return the objects that a process maps."""
    try:
        lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    except OSError:
        return set()
    return {int(line.split()[4]) for line in lines if f" {DEV_SHM}/" in line}


def used_inodes(pid: int) -> set[int]:
    """Return the objects that a process maps or holds open."""
    held = {inode for path, inode in open_files(pid) if path.is_relative_to(DEV_SHM)}
    return held | mapped_inodes(pid)


def remove_abandoned_objects(before: set[Key]) -> None:
    """Remove what processes that were ended have left, if no living process uses it.

    Args:
        before: objects that are older than those processes.
    """
    new = [key for key in shared_objects().keys() - before if key[0].startswith(LEFT_BY_PROCESSES)]
    if not new:
        return
    used = {inode for pid in psutil.pids() for inode in used_inodes(pid)}
    for name, inode in new:
        if inode not in used:
            with contextlib.suppress(OSError):
                (DEV_SHM / name).unlink()
