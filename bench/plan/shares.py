"""The shares of all ranks, put together. Pure functions."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_loader_bench.loaders.contract import Rows

Share = Mapping[str, Any]
"""`count` of the rows of a rank, and `rows`, a bit for each row of the source as text: rows
themselves would soon be longer than an answer of a process may be."""


def share_of(rows: Rows, num_samples: int) -> dict[str, Any]:
    """Return what is told of a rank's rows.

    Args:
        rows: shape `(n,)`, from 0 to `num_samples - 1`.
        num_samples: of the source.
    """
    there = np.zeros(num_samples, bool)
    there[rows] = True
    return {"count": len(rows), "rows": base64.b64encode(np.packbits(there).tobytes()).decode()}


def union_of(
    epochs: Sequence[Sequence[Share]], num_samples: int, batch_size: int
) -> dict[str, Any]:
    """Return the fields of a `UnionRecord`.

    Args:
        epochs: of each, the shares of all ranks.
        num_samples: of the source.
        batch_size: of a rank.
    """
    given = [sum(share["count"] for share in shares) for shares in epochs]
    distinct = [
        int(np.logical_or.reduce([_rows(share) for share in shares]).sum()) for shares in epochs
    ]
    return {
        "epochs": len(epochs),
        "samples": num_samples,
        "missing": max(num_samples - rows for rows in distinct),
        "again": max(count - rows for count, rows in zip(given, distinct, strict=True)),
        "steps": [-(-share["count"] // batch_size) for share in epochs[0]],
    }


def _rows(share: Share) -> npt.NDArray[np.uint8]:
    return np.unpackbits(np.frombuffer(base64.b64decode(share["rows"]), np.uint8))
