"""Drops the pages of a source's files from memory before cold rounds, and verifies it."""

from __future__ import annotations

import ctypes
import mmap
import os
import time
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from keras_loader_bench.bench.plan.case import Case
from keras_loader_bench.loaders.encoded.containers.container import prepare_container
from keras_loader_bench.loaders.encoded.encoded_source import EncodedSource
from keras_loader_bench.loaders.sources.image_source import IMAGES_FILE, LABELS_FILE, ImageSource
from keras_loader_bench.loaders.sources.page_cache import resident_fraction

MOST_RESIDENT = 0.01
"""A round is cold if no larger share of the files lies in memory when it begins."""

_PATIENCE_S = 2.0


def files_of(source: ImageSource | EncodedSource, container: str | None = None) -> list[Path]:
    """Return the files whose pages rounds read.

    Args:
        source: the stored images.
        container: a key of `CONTAINERS` in which a loader finds encoded ones, written by now.
    """
    if isinstance(source, ImageSource):
        return [source.folder / IMAGES_FILE, source.folder / LABELS_FILE]
    folders = [source.folder, *([prepare_container(source, container).data] if container else [])]
    return sorted(path for each in folders for path in each.rglob("*") if path.is_file())


class CasePages:
    """The pages of what a case's rounds read.

    Args:
        case: the case.
        source: its images.
    """

    def __init__(self, case: Case, source: ImageSource | EncodedSource) -> None:
        self._case = case
        self._source = source

    @cached_property
    def _files(self) -> list[Path]:
        return files_of(self._source, getattr(self._case.entry, "container", None))

    def prepare(self) -> float | None:
        """Drop them where the case asks for it; see `prepare_pages`.

        Those of several ranks were dropped by then, see `drop`: another one may read already.
        """
        if self._case.image_size and self._case.page_cache == "warm":
            return None  # a folder has thousands of files to ask for
        return prepare_pages(self._files, "warm" if self._case.ranks > 1 else self._case.page_cache)

    def drop(self, of: str) -> None:
        """Let go of the pages.

        Args:
            of: `this`: let this process hold none; `all`: drop them, where no other process holds
                any and none reads.
        """
        if of == "this":
            _unmap_pages(self._files)
        else:
            drop_pages(self._files)


def prepare_pages(files: Sequence[Path], state: str) -> float | None:
    """Drop the pages of files where a case asks for it.

    Args:
        files: those that a round reads.
        state: `cold`, or `warm`, which leaves the pages where they are.

    Returns:
        The share of their pages that are in memory then; `None`: the system cannot say.

    Raises:
        RuntimeError, NotImplementedError: see `drop_pages`.
    """
    if state == "cold":
        drop_pages(files)
    try:
        return resident_share(files)
    except NotImplementedError:
        return None


def resident_share(files: Sequence[Path]) -> float:
    """Return the share of the pages of files that are in memory, from 0 to 1.

    Raises:
        NotImplementedError: the system cannot say.
    """
    sizes = {path: size for path in files if (size := path.stat().st_size)}
    # A map for a moment: it touches no page.
    resident = sum(
        size * resident_fraction(np.memmap(path, np.uint8, "r")) for path, size in sizes.items()
    )
    return resident / max(1, sum(sizes.values()))


def drop_pages(files: Sequence[Path]) -> None:
    """Drop the pages of files from the page cache, and of no others.

    The kernel keeps pages that a process has mapped. Those of this process are unmapped first,
    which takes nothing from anybody: who touches them reads them again.

    Args:
        files: other processes may have mapped them too.

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
    while (resident := _drop_once(files)) > MOST_RESIDENT and time.monotonic() < deadline:
        time.sleep(0.02)  # somebody still reads ahead of a pass that was broken off
    if resident > MOST_RESIDENT:
        more = f" and {len(files) - 1:,} more" if len(files) > 1 else ""
        raise RuntimeError(
            f"{resident:.0%} of the pages of `{files[0]}`{more} are still in memory after they "
            f"were dropped, for a cold round it must be {MOST_RESIDENT:.0%} at most. Does another "
            "process map them, or may this user not write them?"
        )


def _drop_once(files: Sequence[Path]) -> float:
    _unmap_pages(files)
    for path in files:
        _drop_file(path)
    return resident_share(files)


def _unmap_pages(files: Sequence[Path]) -> None:
    """Let this process hold no page of files that it has mapped for reading, however often."""
    names = {os.path.realpath(path) for path in files}
    libc = ctypes.CDLL(None)
    libc.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for line in Path("/proc/self/maps").read_text().splitlines():
        # https://man7.org/linux/man-pages/man5/proc_pid_maps.5.html
        span, permissions, *_, mapped = line.split(maxsplit=5)
        if mapped in names and "w" not in permissions:
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
