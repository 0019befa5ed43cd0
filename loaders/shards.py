"""Decides which rows each of several ranks trains on; nothing else does.

A rank is one of several processes that train together, each with its own share of every global
batch. The shares follow from the order of the rows alone: ranks that are given the same order need
no communication. Must not know: where rows come from, any framework.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from keras_loader_bench.loaders.contract import Rows

RankOf = tuple[int, int]
"""The number of a rank, from 0, and how many there are."""

LastBatch = Literal["short", "drop", "pad"]
"""What becomes of rows that fill no global batch: each rank gets as many of them, and those that
are fewer than ranks are left out; all are left out; rows from the beginning fill it up."""


def shard_rows(rows: Rows, shard: RankOf, batch_size: int, last_batch: LastBatch = "short") -> Rows:
    """Return the rows of one rank, in the order in which it trains on them.

    Of `ranks * batch_size` rows in sequence, a global batch, rank 0 has the first `batch_size`,
    rank 1 those that follow, and so on: all ranks together train on what one process with the
    global batch size would. Every rank has as many rows, and so as many steps of the same sizes.

    Args:
        rows: those of all ranks, shape `(n,)`, the same on each.
        shard: the number of the rank and how many there are.
        batch_size: of one rank, in samples.
        last_batch: see `LastBatch`.

    Returns:
        An array of its own, of the dtype of `rows`.

    Raises:
        ValueError: an argument is out of range, or nothing is left for a rank.
    """
    rank, ranks = check_shard(shard)
    check_last_batch(last_batch)
    if batch_size < 1:
        raise ValueError(f"`batch_size` must be positive, got {batch_size}.")
    in_step = ranks * batch_size
    full, rest = divmod(len(rows), in_step)
    if last_batch == "pad" and rest:
        rows = np.concatenate([rows, np.resize(rows, in_step - rest)])
        full, rest = full + 1, 0
    of_rest = rest // ranks if last_batch == "short" else 0
    if not full and not of_rest:
        least = ranks if last_batch == "short" else in_step
        raise ValueError(
            f"{len(rows)} rows are too few for {ranks} ranks with batches of {batch_size} and "
            f'`last_batch="{last_batch}"`, which take at least {least}; use fewer ranks, or '
            '`last_batch="pad"`.'
        )
    mine = rows[: full * in_step].reshape(full, ranks, batch_size)[:, rank].reshape(-1)
    start = full * in_step + rank * of_rest
    return np.concatenate([mine, rows[start : start + of_rest]])


def check_last_batch(last_batch: LastBatch) -> None:
    """Raise `ValueError` for what is no rule for the rows that fill no global batch."""
    if last_batch not in get_args(LastBatch):
        raise ValueError(f"`last_batch` must be one of {get_args(LastBatch)}, got {last_batch!r}.")


def check_shard(shard: RankOf) -> RankOf:
    """Return the number of a rank and how many there are.

    Raises:
        ValueError: they are none.
    """
    try:
        rank, ranks = shard
        right = int(rank) == rank and int(ranks) == ranks and 0 <= rank < ranks
    except (TypeError, ValueError):
        right = False
    if not right:
        raise ValueError(
            "`shard` must be `(rank, ranks)`, two integers with 0 <= rank < ranks, got "
            f"{shard!r}; torchrun sets them as RANK and WORLD_SIZE."
        )
    return int(rank), int(ranks)
