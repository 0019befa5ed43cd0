"""Counts objects in /dev/shm, which occupy memory even if no process maps them."""

from __future__ import annotations

from collections.abc import Iterable

import psutil

from keras_loader_bench.loaders.system.dev_shm import (
    Key,
    mapped_inodes,
    shared_objects,
    used_inodes,
)


class SharedMemoryObjects:
    """The objects that were made since this one by processes of this user, other programs' apart.

    Who made an object is written nowhere. One that another process maps or holds open when it is
    first seen is that process's.
    """

    def __init__(self) -> None:
        self._not_ours = set(shared_objects())
        self._seen: set[Key] = set()

    def unmapped_bytes(self, pids: Iterable[int]) -> int:
        """Return the memory of the new objects that none of some processes maps.

        What a process maps is in its own shared memory already.

        Args:
            pids: processes; those that are gone map nothing.
        """
        new = {key: size for key, size in shared_objects().items() if key not in self._not_ours}
        if not new:
            return 0
        ours = set(pids)
        mapped = {inode for pid in ours for inode in mapped_inodes(pid)}
        left = {key: size for key, size in new.items() if key[1] not in mapped}
        if unknown := left.keys() - self._seen:
            self._seen |= unknown
            used = {inode for pid in {*psutil.pids()} - ours for inode in used_inodes(pid)}
            self._not_ours |= {key for key in unknown if key[1] in used}
        return sum(size for key, size in left.items() if key not in self._not_ours)
