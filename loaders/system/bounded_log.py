"""The file for what a process prints: however much that is, beginning and end are kept."""

from __future__ import annotations

import contextlib
import fcntl
import os

KEPT_BYTES = 2**19
"""Of the beginning, and as many of the end."""

MAX_BYTES = 2**23
"""The file is cut when it has more."""


class BoundedLog:
    """A file that another process writes to, and that may be cut while it does.

    Args:
        descriptor: of the empty file, open for reading and writing. It is set to append, for the
            other process too, so that a cut leaves no gap.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | os.O_APPEND)
        self._head: bytes | None = None
        self._tail = b""
        self._cut_bytes = 0

    def trim(self) -> None:
        """Keep the file small: what it loses between beginning and end is counted."""
        if os.fstat(self.descriptor).st_size <= MAX_BYTES:
            return
        if self._head is None:
            self._head = os.pread(self.descriptor, KEPT_BYTES, 0)
            self._cut_bytes -= len(self._head)
        # A line that is written between these calls is lost, and not counted.
        size = os.fstat(self.descriptor).st_size
        self._tail = os.pread(self.descriptor, 2 * KEPT_BYTES, size - KEPT_BYTES)
        os.ftruncate(self.descriptor, 0)
        self._cut_bytes += size

    def text(self, max_bytes: int | None = None) -> str:
        """Return what was printed, or its last bytes; a note stands for what was cut."""
        self.trim()
        data = os.pread(self.descriptor, MAX_BYTES, 0)
        if self._head is not None:
            end = (self._tail + data)[-KEPT_BYTES:]
            cut = self._cut_bytes + len(data) - len(end)
            data = self._head + f"\n[{cut:,} bytes cut]\n".encode() + end
        return (data if max_bytes is None else data[-max_bytes:]).decode(errors="replace")

    def close(self) -> None:
        """Close the file; it has beginning and end, if more was printed."""
        with contextlib.suppress(OSError):  # the disk is full: the log is no reason to fail
            self.trim()
            if self._head is not None:
                text = self.text().encode()
                os.ftruncate(self.descriptor, 0)
                os.write(self.descriptor, text)
        os.close(self.descriptor)
