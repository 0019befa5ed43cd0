"""Rows of arrays. Imports no Keras: the worker processes of Grain import this."""

from __future__ import annotations

from typing import Any


def rows_of(samples: tuple[Any, ...], rows: Any) -> Any:
    """Return some rows of arrays, or of dictionaries of arrays, or one of them."""
    return tuple(
        {name: array[rows] for name, array in each.items()}
        if isinstance(each, dict)
        else each[rows]
        for each in samples
    )


class Samples:
    """A dataset of samples, for a DataLoader and for Grain."""

    def __init__(self, samples: tuple[Any, ...]) -> None:
        self._samples = samples

    def __len__(self) -> int:
        return len(self._samples[1])

    def __getitem__(self, index: int) -> Any:
        return rows_of(self._samples, index)
