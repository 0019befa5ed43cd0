"""Batch buffers that are used again once nobody refers to them any more.

Must not know: what is written into them, any framework.
"""

from __future__ import annotations

import math
import os
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

ALIGNMENT_BYTES = 64
"""What JAX and TensorFlow ask of memory that they are to use without copying it."""


Memory = Callable[[int], npt.NDArray[np.uint8]]
"""Returns so many bytes with any contents, as an array that keeps them alive."""


def new_memory(num_bytes: int) -> npt.NDArray[np.uint8]:
    """Return memory of the process' own."""
    return np.empty(num_bytes, np.uint8)


class BufferPool:
    """Hands out arrays, and hands their memory out again when they are gone.

    Batches in new arrays take some 10% more CPU time, and on JAX a copy where they are not aligned.
    Here pages stay, and the buffer that was lent last, which may still lie in a cache, is used
    first. It may be used from several threads.

    A buffer is free when its array, all views of it and all that shares their memory, such as a JAX
    array or a torch tensor, are gone. So whoever keeps a batch keeps its contents.

    Args:
        most: buffers that are kept, free or lent.
        memory: where they get theirs from.
    """

    def __init__(self, most: int, memory: Memory = new_memory) -> None:
        self._most = most
        self._memory = memory
        self._buffers: list[_Buffer] = []
        """Those that were lent last come last."""
        self._lock = threading.Lock()
        _POOLS.add(self)

    def empty(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """Return a C-contiguous array, aligned to `ALIGNMENT_BYTES`, with any contents.

        Where `REFERENCES_TELL` is false, it is a new array.
        """
        kind = shape, np.dtype(dtype)
        if not REFERENCES_TELL:
            return np.empty(*kind)
        with self._lock:
            for i in reversed(range(len(self._buffers))):
                buffer = self._buffers[i]
                if buffer.kind == kind and buffer.is_free():
                    del self._buffers[i]
                    break
            else:
                buffer = _Buffer(*kind, self._memory)
            self._keep(buffer)
            lent: npt.NDArray[Any] = buffer.array.view()
            return lent

    def reserve(self, shape: tuple[int, ...], dtype: npt.DTypeLike, count: int) -> None:
        """Take memory for so many arrays of a kind, those that are lent already among them."""
        kind = shape, np.dtype(dtype)
        if not REFERENCES_TELL:
            return
        with self._lock:
            there = sum(buffer.kind == kind for buffer in self._buffers)
            for _ in range(count - there):
                buffer = _Buffer(*kind, self._memory)
                buffer.array.fill(0)  # or the kernel gives its pages when they are used
                self._keep(buffer)

    def renew_lock(self) -> None:
        """Take a new lock in a forked process, where nobody would release the old one."""
        self._lock = threading.Lock()

    def _keep(self, buffer: _Buffer) -> None:
        self._buffers.append(buffer)
        del self._buffers[: -self._most]  # those of shapes that nobody has asked for lately


_POOLS: weakref.WeakSet[BufferPool] = weakref.WeakSet()


def _renew_locks() -> None:
    for pool in _POOLS:
        pool.renew_lock()


if hasattr(os, "register_at_fork"):
    # Before the process has a second thread, so that no two of them take different locks.
    os.register_at_fork(after_in_child=_renew_locks)


class _Buffer:
    """Memory for arrays of one shape and dtype.

    Every view refers to the array that owns the memory: the references to that one tell whether it
    is lent. A weak reference to each array that is lent costs half as much again.
    """

    __slots__ = ("_memory", "_references", "array", "kind")

    def __init__(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], memory: Memory = new_memory
    ) -> None:
        self.kind = shape, dtype
        num_bytes = math.prod(shape) * dtype.itemsize
        self._memory = memory(num_bytes + ALIGNMENT_BYTES)
        address, _ = self._memory.__array_interface__["data"]
        start = -address % ALIGNMENT_BYTES
        self.array: Any = self._memory[start : start + num_bytes].view(dtype).reshape(shape)
        """Views of it are what is lent."""
        self._references = sys.getrefcount(self._memory)
        """How many there are while it is free: those of this object."""

    def is_free(self) -> bool:
        return sys.getrefcount(self._memory) == self._references


def _references_tell() -> bool:
    """Try it: `sys.getrefcount` is CPython's, and may count otherwise elsewhere."""
    buffer = _Buffer((2, 3), np.dtype(np.uint8))
    before = buffer.is_free()
    lent = [buffer.array.view()[1:]]
    while_lent = buffer.is_free()
    lent.clear()
    return before and not while_lent and buffer.is_free()


REFERENCES_TELL = _references_tell()
"""Whether memory is used again: not where nobody can tell if it is lent."""
