"""Batch buffers that are used again once nobody refers to them any more.

Owns: the memory of batches and the decision when it is free. Must not know: what is written into
it, any framework.
"""

from __future__ import annotations

import math
import threading
import weakref
from typing import Any

import numpy as np
import numpy.typing as npt

ALIGNMENT_BYTES = 64
"""What JAX and TensorFlow ask of memory that they are to use without copying it."""

_Memory = tuple[bytearray, int]
"""The memory of one array, and where in it the array begins."""


class BufferPool:
    """Hands out arrays, and hands their memory out again when they are gone.

    A new array of a megabyte costs more than what is written into it: the kernel maps and clears
    its pages, and takes them back when it is freed. Here the pages stay, at most `most` buffers of
    them, and the one that was freed last, which may still lie in a cache, is used first.

    A buffer is free when its array, all views of it and everything that was made from them without
    a copy are gone (a JAX array or a torch tensor refers to the array whose memory it shares). So
    whoever keeps a batch keeps its contents. It may be used from several threads.

    Args:
        most: free buffers that are kept.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._free: list[_Memory] = []
        self._lent: dict[int, _Loan] = {}
        self._lock = threading.RLock()
        """An array may be collected at any moment, also under this lock."""

    def empty(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        """Return an array whose contents are whatever was there before.

        Args:
            shape: of the array.
            dtype: of the array.

        Returns:
            A C-contiguous array, aligned to `ALIGNMENT_BYTES`.
        """
        num_bytes = math.prod(shape) * np.dtype(dtype).itemsize
        memory, start = self._memory(num_bytes)
        # Every view refers to this array, because its memory is not an array's: it dies last.
        array: npt.NDArray[Any] = np.ndarray(shape, dtype, memory, start)
        loan = _Loan(array, _end)
        loan.pool, loan.memory = weakref.ref(self), (memory, start)
        self._lent[id(loan)] = loan
        return array

    def reserve(self, shape: tuple[int, ...], dtype: npt.DTypeLike, count: int) -> None:
        """See to it that so many arrays can be lent at once with no more memory than is taken now.

        Args:
            shape: of the arrays.
            dtype: of the arrays.
            count: arrays of this size, those that are lent already among them.
        """
        num_bytes = math.prod(shape) * np.dtype(dtype).itemsize
        with self._lock:
            # A copy at once: loans come and go meanwhile, also those of this thread.
            kept = [*self._free, *(loan.memory for loan in list(self._lent.values()))]
            there = sum(_fits(num_bytes, memory) for memory in kept)
        arrays = [self._new(num_bytes) for _ in range(count - there)]
        for memory, _ in arrays:
            np.frombuffer(memory, np.uint8).fill(0)  # or the kernel gives its pages when it is used
        with self._lock:
            self._free[:0] = arrays
            del self._free[: -self._most]

    def _memory(self, num_bytes: int) -> _Memory:
        """Return a free buffer that is large enough and not much too large, or a new one."""
        with self._lock:
            for i in reversed(range(len(self._free))):
                if _fits(num_bytes, self._free[i]):
                    return self._free.pop(i)
        return self._new(num_bytes)

    @staticmethod
    def _new(num_bytes: int) -> _Memory:
        memory = bytearray(num_bytes + ALIGNMENT_BYTES)
        address, _ = np.frombuffer(memory, np.uint8).__array_interface__["data"]
        return memory, -address % ALIGNMENT_BYTES

    def _take_back(self, loan: _Loan) -> None:
        with self._lock:
            del self._lent[id(loan)]
            self._free.append(loan.memory)
            del self._free[: -self._most]  # those of sizes that nobody has asked for lately


def _fits(num_bytes: int, memory: _Memory) -> bool:
    """Whether it is large enough and not much too large."""
    return num_bytes <= len(memory[0]) - ALIGNMENT_BYTES <= 2 * num_bytes


class _Loan(weakref.ref[Any]):
    """Tells of the end of an array."""

    __slots__ = ("memory", "pool")

    memory: _Memory
    pool: weakref.ref[BufferPool]


def _end(loan: Any) -> None:
    pool = loan.pool()
    if pool is not None:
        pool._take_back(loan)
