"""Temporary folders that a killed process does not leave behind for ever."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ModuleNotFoundError:  # Windows
    fcntl = None  # type: ignore[assignment]

_STALE_AFTER_S = 3600.0
"""Where folders cannot be locked: one that nobody has written to for so long has no owner."""


@contextlib.contextmanager
def owned_folder(parent: Path, prefix: str) -> Iterator[Path]:
    """Make a folder that is deleted at the end, however that comes about.

    Its process holds a lock on it, which the kernel takes away when the process ends. So the next
    one that makes such a folder in the same place can delete those whose owners were killed.

    Args:
        parent: an existing folder.
        prefix: of the names of such folders; of nothing else in the parent.
    """
    remove_abandoned(parent, prefix)
    folder, lock = _locked_folder(parent, prefix)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def remove_abandoned(parent: Path, prefix: str) -> None:
    """Delete the folders of processes that are gone; what cannot be deleted stays."""
    for folder in parent.glob(f"{prefix}*"):
        with contextlib.suppress(OSError):  # in use, or another process is faster
            lock = _locked(folder)
            if lock is None and time.time() - _newest(folder) < _STALE_AFTER_S:
                continue
            try:
                shutil.rmtree(folder)
            finally:
                if lock is not None:
                    os.close(lock)


def _locked_folder(parent: Path, prefix: str) -> tuple[Path, int | None]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix, dir=parent))
        try:
            lock = _locked(folder)
        except (BlockingIOError, FileNotFoundError):
            continue  # another process took it for abandoned before it could be locked
        if folder.exists():
            return folder, lock
        if lock is not None:
            os.close(lock)


def _locked(folder: Path) -> int | None:
    """Return the descriptor that holds the lock of a folder; `None`: there are no locks here.

    Raises:
        BlockingIOError: somebody else has it.
        FileNotFoundError: the folder is gone.
    """
    if fcntl is None:
        return None
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise
    except OSError:  # some network file systems
        os.close(lock)
        return None
    return lock


def _newest(folder: Path) -> float:
    return max(path.stat().st_mtime for path in (folder, *folder.rglob("*")))
