"""Decides the order in which rows are delivered; nothing else does."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def sample_order(
    num_samples: int, *, seed: int, epoch: int, shuffle: bool = True
) -> npt.NDArray[np.integer[Any]]:
    """Return the rows of one epoch: every row of the source exactly once.

    It depends on the arguments alone, so that two loaders, processes and backends can be given the
    same one: `np.random.default_rng([seed, epoch]).permutation(num_samples)`.

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
    dtype: type[np.integer[Any]] = np.int32 if num_samples < 2**31 else np.int64
    rows = np.arange(num_samples, dtype=dtype)
    if shuffle:
        np.random.default_rng([seed, epoch]).shuffle(rows)
    return rows
