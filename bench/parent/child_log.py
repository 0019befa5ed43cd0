"""The file for what a child prints: however much that is, beginning and end are kept."""

from __future__ import annotations

import os
from pathlib import Path

KEPT_BYTES = 2**19
"""Of the beginning, and as many of the end."""

MAX_BYTES = 2**23
"""The file is cut when it has more."""


class ChildLog:
    """A file that a child writes to, and that may be cut while it does.

    Args:
        path: the file; begun anew.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._head: bytes | None = None
        self._tail = b""
        self._cut_bytes = 0

    def open(self) -> int:
        """Return a file descriptor for the child; each write appends, so that a cut leaves no gap.

        The caller closes it.
        """
        return os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o666)

    def trim(self) -> None:
        """Keep the file small: what it loses between beginning and end is counted."""
        size = self._path.stat().st_size
        if size <= MAX_BYTES:
            return
        with self._path.open("r+b") as file:
            if self._head is None:
                self._head = file.read(KEPT_BYTES)
                self._cut_bytes -= len(self._head)
            file.seek(size - KEPT_BYTES)
            self._tail = file.read(KEPT_BYTES)
            file.truncate(0)
        self._cut_bytes += size

    def text(self, max_bytes: int | None = None) -> str:
        """Return what was printed, or its last bytes; a note stands for what was cut."""
        self.trim()
        with self._path.open("rb") as file:
            if max_bytes is not None and self._head is None:
                file.seek(max(0, self._path.stat().st_size - max_bytes))
            data = file.read()
        if self._head is not None:
            end = (self._tail + data)[-KEPT_BYTES:]
            cut = self._cut_bytes + len(data) - len(end)
            data = self._head + f"\n[{cut:,} bytes cut]\n".encode() + end
        return (data if max_bytes is None else data[-max_bytes:]).decode(errors="replace")

    def close(self) -> None:
        """Leave beginning and end in the file, if more than that was printed."""
        self.trim()
        if self._head is not None:
            self._path.write_text(self.text(), encoding="utf-8")
