"""Counts objects in /dev/shm, which occupy memory even if no process maps them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

import psutil

from keras_loader_bench.loaders.system.process_tree import open_files

DEV_SHM = Path("/dev/shm")  # noqa: S108  # where Linux keeps POSIX shared memory; nothing is written


Key = tuple[str, int]
"""Name and inode of an object."""


class SharedMemoryObjects:
    """The objects that were made since this one by processes of this user, other programs' apart.

    Who made an object is written nowhere. One that another process maps or holds open when it is
    first seen is that process's.
    """

    def __init__(self) -> None:
        self._not_ours = set(self._objects())
        self._seen: set[Key] = set()

    def unmapped_bytes(self, pids: Iterable[int]) -> int:
        """Return the memory of the new objects that none of some processes maps.

        What a process maps is in its own shared memory already.

        Args:
            pids: processes; those that are gone map nothing.
        """
        new = {key: size for key, size in self._objects().items() if key not in self._not_ours}
        if not new:
            return 0
        ours = set(pids)
        mapped = {inode for pid in ours for inode in _mapped_inodes(pid)}
        left = {key: size for key, size in new.items() if key[1] not in mapped}
        if unknown := left.keys() - self._seen:
            self._seen |= unknown
            used = {inode for pid in {*psutil.pids()} - ours for inode in _used_inodes(pid)}
            self._not_ours |= {key for key in unknown if key[1] in used}
        return sum(size for key, size in left.items() if key not in self._not_ours)

    def _objects(self) -> dict[Key, int]:
        """Return the bytes that are allocated for each object."""
        found = {}
        with contextlib.suppress(OSError):  # a system without it
            for entry in os.scandir(DEV_SHM):
                with contextlib.suppress(OSError):  # it is gone
                    stat = entry.stat(follow_symlinks=False)
                    if stat.st_uid == os.getuid():
                        found[entry.name, stat.st_ino] = stat.st_blocks * 512
        return found


def _mapped_inodes(pid: int) -> set[int]:
    try:
        lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    except OSError:
        return set()
    return {int(line.split()[4]) for line in lines if f" {DEV_SHM}/" in line}


def _used_inodes(pid: int) -> set[int]:
    """Return what a process maps or holds open of /dev/shm."""
    held = {inode for path, inode in open_files(pid) if path.is_relative_to(DEV_SHM)}
    return held | _mapped_inodes(pid)
