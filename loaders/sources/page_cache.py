"""The page cache under a memory map: what of an array lies in it, and advice on what to read next.

A row that is not in the page cache is read when it is touched. Left to itself the kernel reads far
more around it, some megabytes for a row of 3 KiB where it uses large pages, and the thread that
touched it waits for all of that. https://man7.org/linux/man-pages/man2/madvise.2.html
Must not know: any framework, who reads the rows.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import psutil

from keras_loader_bench.loaders.contract import Rows

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

Result = TypeVar("Result")

CHUNK_BYTES = 2**20
"""What is asked for at once of an array that is wanted whole; the kernel takes no larger wish."""

CHUNKS_PER_BATCH = 4

SAMPLED_ROWS = 64
"""Rows that are looked at to see whether an array is in the page cache."""

_SAMPLED_OF_BATCH = 8
_LOOKED_AT_BYTES = 2**26
"""A piece of this length at a time: the answer takes some bytes a page."""

_CGROUP = Path("/sys/fs/cgroup")

_libc: Any = None
_libc_unlocked: Any = None
if os.name == "posix":
    # Calls of a microsecond keep Python's lock: to get it back beside a busy thread takes longer.
    _libc, _libc_unlocked = ctypes.PyDLL(None), ctypes.CDLL(None)
    for _library in (_libc, _libc_unlocked):
        _library.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
        _library.mincore.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)


class ReadAdvice:
    """Tells the kernel which rows of a mapped array are read next, where they are not in memory.

    - The rows of a batch are asked for together, in the order of the file, one batch ahead: the
      disk has all of them to do at once, and reads no more than the pages on which they lie.
    - An array that there is room for is also read from its start, some megabytes a batch: when it
      lies in memory there is nothing left to advise.

    It says nothing while the pages are in memory, where that would cost more than it brings. It may
    be used from several threads. Where the system has no such call it does nothing.

    Args:
        images: memory-mapped, C-contiguous; one row for each index of the first axis.
    """

    def __init__(self, images: npt.NDArray[np.uint8]) -> None:
        self._images = images  # keeps the map open
        self._address, _ = images.__array_interface__["data"]
        self._row_bytes = images.nbytes // len(images)
        self.cold = False
        """Whether rows that were asked for lately were not in memory."""
        self._wanted_whole = False
        self._asked_for = 0
        """Bytes from the start of the array that were asked for."""
        self._in_memory = 0
        """Batches in a row that were in memory while it was cold."""

    def begin(self, rows: Rows) -> None:
        """Look whether the rows of a pass are in memory.

        Args:
            rows: in the order in which they will be read.
        """
        self._set_cold(not self._all_resident(rows, SAMPLED_ROWS))

    def watch(self, read: Callable[[Rows], Result], rows: Rows) -> Result:
        """Return `read(rows)`, and see whether this thread had to wait for the disk in it."""
        before = _major_faults()
        result = read(rows)
        if _major_faults() > before and not self.cold:
            self._set_cold(True)
        return result

    def _set_cold(self, cold: bool) -> None:
        self.cold = cold
        self._asked_for = self._in_memory = 0
        self._wanted_whole = cold and has_room_for(self._images.nbytes)

    def read_next(self, rows: Rows) -> None:
        """Ask for the rows of a batch, unless they are in memory."""
        if self._all_resident(rows, _SAMPLED_OF_BATCH):
            self._in_memory += 1
            self.cold = self._in_memory < SAMPLED_ROWS // _SAMPLED_OF_BATCH
        else:
            self._in_memory = 0
            self.will_need(rows)
        if self._wanted_whole:
            self._want_chunks(CHUNKS_PER_BATCH)

    def will_need(self, rows: Rows) -> None:
        """Ask for some rows, whether they are in memory or not: about 1.5 us each."""
        if _libc is None:
            return
        starts = self._address + np.sort(rows).astype(np.int64) * self._row_bytes
        pages = starts // mmap.PAGESIZE * mmap.PAGESIZE
        lengths = starts + self._row_bytes - pages
        for page, length in zip(pages.tolist(), lengths.tolist(), strict=True):
            _libc.madvise(page, length, mmap.MADV_WILLNEED)

    def want_whole(self) -> None:
        """Ask for the whole array if it is cold and there is room for it.

        On a thread, which ends when the disk has been told of all: the kernel takes some tens of
        milliseconds for each 100 MiB.
        """
        if not self._wanted_whole:
            return
        threading.Thread(
            target=self._want_chunks, args=(-(-self._images.nbytes // CHUNK_BYTES),), daemon=True
        ).start()

    def _want_chunks(self, count: int) -> None:
        for _ in range(count):
            start = self._asked_for
            length = min(CHUNK_BYTES, self._images.nbytes - start)
            if length <= 0:
                return
            self._asked_for = start + length
            advise(self._address + start, length, mmap.MADV_WILLNEED)

    def _all_resident(self, rows: Rows, most: int) -> bool:
        """Whether all of some rows are in memory, told from at most so many of them."""
        sampled = rows[:: -(-len(rows) // most)] if len(rows) else rows
        return all(
            resident_pages(self._address + row * self._row_bytes, self._row_bytes).all()
            for row in sampled.tolist()
        )


def advise(address: int, num_bytes: int, advice: int) -> None:
    """Call `madvise` for the pages of a range; other threads run meanwhile.

    Args:
        address: where the range begins in this process.
        num_bytes: its length.
        advice: such as `mmap.MADV_WILLNEED`.
    """
    if _libc_unlocked is not None:
        first = _first_page(address)
        _libc_unlocked.madvise(first, address + num_bytes - first, advice)


def _first_page(address: int) -> int:
    return address // mmap.PAGESIZE * mmap.PAGESIZE


def resident_fraction(array: npt.NDArray[Any]) -> float:
    """Return the share of a mapped array's pages that are in memory, from 0 to 1.

    Raises:
        NotImplementedError: the system cannot say.
    """
    if _libc is None:
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

    The kernel tells who may write the file or owns it; others see all pages as resident.
    https://man7.org/linux/man-pages/man2/mincore.2.html

    Args:
        address: where the range begins in this process.
        num_bytes: its length, at least 1.

    Returns:
        One value a page; all `True` where the system cannot say.
    """
    first = _first_page(address)
    pages = -(-(address + num_bytes - first) // mmap.PAGESIZE)
    found = np.ones(pages, np.uint8)
    if _libc is not None:
        _libc.mincore(first, pages * mmap.PAGESIZE, found.ctypes.data)
    return (found & 1).astype(np.bool_)


def _major_faults() -> int:
    """Return how often this thread (elsewhere than on Linux: this process) waited for the disk."""
    if resource is None:
        return 0
    return int(resource.getrusage(getattr(resource, "RUSAGE_THREAD", 0)).ru_majflt)


def has_room_for(num_bytes: int) -> bool:
    """Return whether so much of a file may be read into the page cache at once.

    It may take up half of the memory that is available without swapping, within the limit of this
    process's control group.
    """
    return num_bytes <= _available_bytes() // 2


def _available_bytes() -> int:
    available: int = psutil.virtual_memory().available
    try:
        most, used = ((_CGROUP / f"memory.{name}").read_text() for name in ("max", "current"))
        return min(available, int(most) - int(used))
    except (OSError, ValueError):  # no such group, or its limit is "max"
        return available
