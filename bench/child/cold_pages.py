"""Drops the pages of a source from memory before cold rounds, and verifies it."""

from __future__ import annotations

import ctypes
import mmap
import os
import time
from pathlib import Path

from keras_loader_bench.loaders.sources.image_source import IMAGES_FILE, LABELS_FILE, ImageSource
from keras_loader_bench.loaders.sources.page_cache import resident_fraction

MOST_RESIDENT = 0.01
"""A round is cold if no larger share of the images lies in memory when it begins."""

_PATIENCE_S = 2.0


def prepare_pages(source: ImageSource, state: str) -> float | None:
    """Drop the pages of a source where a case asks for it.

    Args:
        source: the stored images.
        state: `cold`, or `warm`, which leaves the pages where they are.

    Returns:
        The share of the images' pages that are in memory then; `None`: the system cannot say.

    Raises:
        RuntimeError, NotImplementedError: see `drop_pages`.
    """
    if state == "cold":
        drop_pages(source)
    try:
        return resident_fraction(source.images)
    except NotImplementedError:
        return None


def drop_pages(source: ImageSource) -> None:
    """Drop the pages of a source from the page cache, those of its files alone.

    The kernel keeps pages that a process has mapped. Those of this process are unmapped first,
    which takes nothing from anybody: who touches them reads them again.

    Args:
        source: the stored images; other processes may have mapped them too.

    Raises:
        RuntimeError: pages are still in memory.
        NotImplementedError: the system cannot drop them, or cannot say whether they are gone.
    """
    if not hasattr(os, "posix_fadvise"):
        raise NotImplementedError(
            "Pages can be dropped where there is `posix_fadvise`: on Linux. "
            "Leave `--page-cache cold` away."
        )
    deadline = time.monotonic() + _PATIENCE_S
    while (resident := _drop_once(source)) > MOST_RESIDENT and time.monotonic() < deadline:
        time.sleep(0.02)  # somebody still reads ahead of a pass that was broken off
    if resident > MOST_RESIDENT:
        raise RuntimeError(
            f"{resident:.0%} of the pages of `{source.folder / IMAGES_FILE}` are still in memory "
            f"after they were dropped, for a cold round it must be {MOST_RESIDENT:.0%} at most. "
            "Does another process map it, or may this user not write it?"
        )


def _drop_once(source: ImageSource) -> float:
    for path in (source.folder / IMAGES_FILE, source.folder / LABELS_FILE):
        _unmap_pages(path)
        _drop_file(path)
    return resident_fraction(source.images)


def _unmap_pages(path: Path) -> None:
    """Let this process hold no page of a file that it has mapped for reading, however often."""
    libc = ctypes.CDLL(None)
    libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    real = os.path.realpath(path)
    for line in Path("/proc/self/maps").read_text().splitlines():
        # https://man7.org/linux/man-pages/man5/proc_pid_maps.5.html
        span, permissions, *_, mapped = line.split(maxsplit=5)
        if mapped == real and "w" not in permissions:
            first, end = (int(address, 16) for address in span.split("-"))
            # `mmap.madvise` needs the object of each map, and nobody knows all of them.
            libc.madvise(first, end - first, mmap.MADV_DONTNEED)


def _drop_file(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)  # what is not on disk yet is not dropped
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)
