"""Counts objects in /dev/shm, which occupy memory even if no process maps them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

DEV_SHM = Path("/dev/shm")  # noqa: S108  # where Linux keeps POSIX shared memory; nothing is written


class SharedMemoryObjects:
    """The objects that were made since this one, by processes of this user."""

    def __init__(self) -> None:
        self._before = self._objects().keys()

    def unmapped_bytes(self, pids: Iterable[int]) -> int:
        """Return the memory of the new objects that none of some processes maps.

        What a process maps is in its own shared memory already.

        Args:
            pids: processes; those that are gone map nothing.
        """
        new = {key: size for key, size in self._objects().items() if key not in self._before}
        if not new:
            return 0
        mapped = {inode for pid in pids for inode in _mapped_inodes(pid)}
        return sum(size for (_, inode), size in new.items() if inode not in mapped)

    def _objects(self) -> dict[tuple[str, int], int]:
        """Return name and inode -> bytes that are allocated."""
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
