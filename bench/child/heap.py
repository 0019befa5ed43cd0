"""Trims the heap of the C library, which keeps freed memory. For the process of a case only."""

from __future__ import annotations

import contextlib
import ctypes


def trim_heap() -> None:
    """Let the C library give back what nobody holds (`man 3 malloc_trim`); glibc alone can.

    Without it a process keeps some MiB or gives them back, by the luck of what lies at the end of
    its heap, and this looks like growth.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
