"""The page cache under a memory map: which pages are in memory, and read-ahead advice.

A row that is not in the page cache is read when it is accessed. By default the kernel reads much
more around it, megabytes for a row of 3 KiB if it uses large pages, and the accessing thread waits
for all of it. https://man7.org/linux/man-pages/man2/madvise.2.html
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil

from keras_loader_bench.loaders.contract import Rows
from keras_loader_bench.loaders.system.control_groups import own_groups

CHUNK_BYTES = 2**20
"""What is asked for at once of an array that is wanted whole; the kernel takes no larger wish."""

SAMPLED_ROWS = 64
"""Rows that are looked at to see whether an array is in the page cache."""

_SAMPLED_OF_BATCH = 8
_LOOKED_AT_BYTES = 2**26
"""A piece of this length at a time: the answer takes one byte per page."""

_mincore: Any = None
if os.name == "posix":
    # The only call here that the standard library lacks. `PyDLL` keeps Python's lock: the call
    # takes a microsecond, and to get the lock back beside a busy thread takes longer.
    _mincore = ctypes.PyDLL(None).mincore
    _mincore.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)


class ReadAdvice:
    """Tells the kernel which rows of a mapped array are read next, where they are not in memory.

    The rows of a batch are asked for together, in the order of the file: the disk reads only the
    pages on which they lie. An array that there is room for is also read whole, from its start.
    While the pages are in memory it says nothing, which would cost more than it brings. It may be
    used from several threads. Where the system has no such call it does nothing.

    Args:
        images: memory-mapped, C-contiguous; one row for each index of the first axis.
    """

    def __init__(self, images: np.memmap[Any, np.dtype[np.uint8]]) -> None:
        self._images = images
        self._row_bytes = images.nbytes // len(images)
        self._address, _ = images.__array_interface__["data"]
        mapped: Any = images
        while isinstance(mapped, np.ndarray):
            mapped = mapped.base
        self._map: mmap.mmap = mapped
        self._offset = self._address - np.frombuffer(mapped, np.uint8).ctypes.data
        """Where the first row begins in the map."""
        self.cold = False
        """Whether rows that were asked for lately were not in memory."""
        self._in_memory = 0
        """Batches in a row that were in memory while it was cold."""

    def begin(self, rows: Rows, batch_size: int) -> None:
        """Look whether the rows of a pass are in memory; if not, ask for the first batch.

        Then the whole array is asked for, if there is room for it, on a thread that ends when the
        kernel has been told of all: that takes some tens of milliseconds per 100 MiB.
        """
        self._in_memory = 0
        self.cold = not self._all_resident(rows, SAMPLED_ROWS)
        if not self.cold:
            return
        self._will_need(rows[:batch_size])
        if has_room_for(self._images.nbytes) and hasattr(os, "posix_fadvise"):
            threading.Thread(target=self._want_whole, daemon=True).start()

    def read_next(self, rows: Rows) -> None:
        """Ask for the rows of a batch, unless it is known that rows are in memory."""
        if not self.cold:
            return
        if self._all_resident(rows, _SAMPLED_OF_BATCH):
            self._in_memory += 1
            self.cold = self._in_memory < SAMPLED_ROWS // _SAMPLED_OF_BATCH
        else:
            self._in_memory = 0
            self._will_need(rows)

    def _will_need(self, rows: Rows) -> None:
        """Ask for some rows, whether they are in memory or not: about 1.5 us each."""
        starts = self._offset + np.sort(rows).astype(np.int64) * self._row_bytes
        pages = starts // mmap.PAGESIZE * mmap.PAGESIZE
        lengths = starts + self._row_bytes - pages
        for page, length in zip(pages.tolist(), lengths.tolist(), strict=True):
            self._map.madvise(mmap.MADV_WILLNEED, page, length)

    def _want_whole(self) -> None:
        # `posix_fadvise` lets go of Python's lock, `madvise` does not.
        with Path(str(self._images.filename)).open("rb") as file:
            for start in range(0, self._images.nbytes, CHUNK_BYTES):
                os.posix_fadvise(
                    file.fileno(), self._images.offset + start, CHUNK_BYTES, os.POSIX_FADV_WILLNEED
                )

    def _all_resident(self, rows: Rows, most: int) -> bool:
        """Whether all of some rows are in memory, told from at most so many of them."""
        sampled = rows[:: -(-len(rows) // most)] if len(rows) else rows
        return all(
            resident_pages(self._address + row * self._row_bytes, self._row_bytes).all()
            for row in sampled.tolist()
        )


def resident_fraction(array: npt.NDArray[Any]) -> float:
    """Return the share of a mapped array's pages that are in memory, from 0 to 1.

    Raises:
        NotImplementedError: the system cannot say.
    """
    if _mincore is None:
        raise NotImplementedError("Which pages are in memory can be seen on Linux and macOS only.")
    address, _ = array.__array_interface__["data"]
    found = total = 0
    for start in range(0, array.nbytes, _LOOKED_AT_BYTES):
        length = min(_LOOKED_AT_BYTES, array.nbytes - start)
        pages = resident_pages(address + start, length)
        found, total = found + int(pages.sum()), total + len(pages)
    return found / total


def resident_pages(address: int, num_bytes: int) -> npt.NDArray[np.bool_]:
    """Return which pages of a mapped file are in memory, also those that nobody has touched.

    The kernel tells who may write the file or owns it; for others, and where the system cannot say,
    all are. https://man7.org/linux/man-pages/man2/mincore.2.html
    """
    first = address // mmap.PAGESIZE * mmap.PAGESIZE
    pages = -(-(address + num_bytes - first) // mmap.PAGESIZE)
    found = np.ones(pages, np.uint8)
    if _mincore is not None:
        _mincore(first, pages * mmap.PAGESIZE, found.ctypes.data)
    return (found & 1).astype(np.bool_)


def has_room_for(num_bytes: int) -> bool:
    """Return whether a file takes up at most half of the memory that is available.

    That is without swapping, and within the limits of the control groups (version 2) that this
    process is in, in which cached files do not count: the kernel takes them back.
    """
    available: int = psutil.virtual_memory().available
    for folder in own_groups("memory"):
        with contextlib.suppress(OSError, ValueError):  # not a group, or its limit is "max"
            most, used = (
                int((folder / f"memory.{name}").read_text()) for name in ("max", "current")
            )
            stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
            cached = int(stat["active_file"]) + int(stat["inactive_file"])
            available = min(available, most - used + cached)
    return num_bytes <= available // 2
