"""Rows of loaders that have one order: checked, and refused with what to do.

Must not know: any framework.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from keras_loader_bench.loaders.contract import Loader, Rows


def check_rows(loader: Loader[Any], rows: Rows, why: str) -> None:
    """Make sure that rows are the first ones of the only order that a loader has.

    Args:
        loader: one that has `only_rows`.
        rows: what `fit_args` is given.
        why: why there is no other order, a clause.

    Raises:
        ValueError: they are others.
    """
    if not np.array_equal(rows, np.asarray(loader.only_rows)[: len(rows)]):
        raise ValueError(
            f"`rows` must be the beginning of `loader.only_rows`, got others: {why}. Pass "
            "`loader.only_rows`, or take a loader that can read any row, such as `image_sequence`."
        )


STORED = (
    "its container is read from the front (whoever prepares the source shuffles: the order of a "
    "folder's files is drawn from the seed)"
)
"""Why a container of shards has the stored order alone."""
