"""Batch buffers that are used again once nobody refers to them any more.

Owns: the memory of batches and the decision when it is free. Must not know: what is written into
it, any framework.
"""

from __future__ import annotations

import math
import sys
import threading
from typing import Any

import numpy as np
import numpy.typing as npt

ALIGNMENT_BYTES = 64
"""What JAX and TensorFlow ask of memory that they are to use without copying it."""


class BufferPool:
    """Hands out arrays, and hands their memory out again when they are gone.

    A new array of a megabyte costs more than what is written into it where the kernel maps and
    clears its pages, and takes them back when it is freed. Here the pages stay, those of at most
    `most` buffers, and the one that was lent last, which may still lie in a cache, is used first.

    A buffer is free when its array, all views of it and everything that was made from them without
    a copy are gone (a JAX array or a torch tensor refers to the array whose memory it shares). So
    whoever keeps a batch keeps its contents. It may be used from several threads.

    Args:
        most: buffers that are kept, free or lent.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._buffers: list[_Buffer] = []
        """Those that were lent last come last."""
        self._lock = threading.Lock()

    def empty(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """Return an array whose contents are whatever was there before.

        Args:
            shape: of the array.
            dtype: of the array.

        Returns:
            A C-contiguous array, aligned to `ALIGNMENT_BYTES`, in memory that was lent to arrays of
            this shape and dtype only. Where `REFERENCES_TELL` is false, a new array.
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
                buffer = _Buffer(*kind)
            self._keep(buffer)
            return buffer.array.view()

    def reserve(self, shape: tuple[int, ...], dtype: npt.DTypeLike, count: int) -> None:
        """See to it that so many arrays can be lent at once with no more memory than is taken now.

        Args:
            shape: of the arrays.
            dtype: of the arrays.
            count: arrays of this shape and dtype, those that are lent already among them.
        """
        kind = shape, np.dtype(dtype)
        if not REFERENCES_TELL:
            return
        with self._lock:
            there = sum(buffer.kind == kind for buffer in self._buffers)
            for _ in range(count - there):
                buffer = _Buffer(*kind)
                buffer.array.fill(0)  # or the kernel gives its pages when they are used
                self._keep(buffer)

    def _keep(self, buffer: _Buffer) -> None:
        self._buffers.append(buffer)
        del self._buffers[: -self._most]  # those of shapes that nobody has asked for lately


class _Buffer:
    """Memory for arrays of one shape and dtype, and the means to see whether it is lent.

    However a view was made, it refers to the array that owns the memory: so the references to that
    one tell. A weak reference to each array that is lent costs half as much again.
    """

    __slots__ = ("_memory", "_references", "array", "kind")

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.kind = shape, dtype
        num_bytes = math.prod(shape) * dtype.itemsize
        self._memory = np.empty(num_bytes + ALIGNMENT_BYTES, np.uint8)
        address, _ = self._memory.__array_interface__["data"]
        start = -address % ALIGNMENT_BYTES
        self.array: npt.NDArray[Any] = (
            self._memory[start : start + num_bytes].view(dtype).reshape(shape)
        )
        """Views of it are what is lent."""
        self._references = sys.getrefcount(self._memory)
        """How many there are while it is free: those of this object."""

    def is_free(self) -> bool:
        """Whether nobody refers to what was lent."""
        return sys.getrefcount(self._memory) == self._references


def _references_tell() -> bool:
    """Return whether the references to a buffer tell here if it is lent.

    `sys.getrefcount` is CPython's, and may count otherwise in another interpreter or version.
    """
    buffer = _Buffer((2, 3), np.dtype(np.uint8))
    before = buffer.is_free()
    lent = [buffer.array.view()[1:]]
    while_lent = buffer.is_free()
    lent.clear()
    return before and not while_lent and buffer.is_free()


REFERENCES_TELL = _references_tell()
"""Whether memory is used again: not where nobody can tell if it is lent."""
