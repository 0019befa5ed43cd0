"""Decides the order in which rows are delivered; nothing else does."""

from __future__ import annotations

import contextlib
import tempfile
from typing import Any

import numpy as np
import numpy.typing as npt

MAX_SAMPLES_IN_MEMORY = 100_000_000
"""Orders of more samples lie in a temporary file: 400 MB of private memory at most."""

_CHUNK_ROWS = 2**20
"""Rows that are written to the file at once."""


def sample_order(
    num_samples: int, *, seed: int, epoch: int, shuffle: bool = True
) -> npt.NDArray[np.integer[Any]]:
    """Return the rows of one epoch: every row of the source exactly once.

    The order depends on nothing but the arguments, so that two loaders, two processes and two
    backends can be given the same one. It equals
    `np.random.default_rng([seed, epoch]).permutation(num_samples)`.

    **What it costs**: 4 bytes per sample, 8 from 2**31 samples on. An order of more than 100
    million samples lies in a temporary file without a name (in `TMPDIR`) that is mapped into
    memory: page cache, which the kernel writes out and takes back under pressure. The file is gone
    with the array. Where none can be written, the order is in private memory.

    Args:
        num_samples: number of rows in the source, at least 1.
        seed: the run's seed, at least 0.
        epoch: the number of the epoch, at least 0.
        shuffle: `False` gives the stored order.

    Returns:
        Row numbers of shape `(num_samples,)`, int32 where they fit, else int64.

    Raises:
        ValueError: an argument is out of range.
    """
    if num_samples < 1:
        raise ValueError(f"`num_samples` must be positive, got {num_samples}.")
    if seed < 0 or epoch < 0:
        raise ValueError(f"`seed` and `epoch` must not be negative, got {seed} and {epoch}.")
    dtype = np.dtype(np.int32 if num_samples < 2**31 else np.int64)
    rows = None
    if num_samples > MAX_SAMPLES_IN_MEMORY:
        with contextlib.suppress(OSError):  # no folder for temporary files, or no space in it
            rows = _mapped_order(num_samples, dtype)
    if rows is None:
        rows = np.arange(num_samples, dtype=dtype)
    if shuffle:
        np.random.default_rng([seed, epoch]).shuffle(rows)
    return rows


def _mapped_order(num_samples: int, dtype: np.dtype[Any]) -> npt.NDArray[np.integer[Any]]:
    """Return 0, 1, 2, ... in a mapped file."""
    with tempfile.TemporaryFile() as file:
        # Plain writes: on a full disk they raise, where a map would kill the process (SIGBUS).
        for start in range(0, num_samples, _CHUNK_ROWS):
            chunk = np.arange(start, min(start + _CHUNK_ROWS, num_samples), dtype=dtype)
            file.write(chunk.data)
        file.flush()
        mapped = np.memmap(file, dtype=dtype, mode="r+", shape=(num_samples,))
    return mapped.view(np.ndarray)  # a plain array, also in a pickle
