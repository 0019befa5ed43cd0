"""Arrays as `fit` takes them, and the batches that Keras makes of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import numpy as np

BATCH_SIZE = 32
"""Keras' own."""

FIELDS = ("x", "y", "sample_weight")


def array_name(field: str, path: Iterable[Any]) -> str:
    """Return what an array of a batch is called: `x`, or `x/image` within a structure.

    Args:
        field: one of `FIELDS`.
        path: to the array in that part of a batch, as `keras.tree.flatten_with_path` has it.
    """
    return "/".join([field, *map(str, path)])


def fit_arguments(value: Any) -> dict[str, Any] | None:
    """Return the arguments of `fit` that arrays stand for; `None`: they are no arrays.

    Args:
        value: `x`, `(x,)`, `(x, y)`, `(x, y, sample_weight)` or a dictionary with these names;
            each is an array, or a list, tuple or dictionary of arrays.
    """
    if isinstance(value, dict) and "x" in value and set(value) <= set(FIELDS):
        parts = dict(value)
    elif isinstance(value, tuple) and 1 <= len(value) <= len(FIELDS):
        parts = dict(zip(FIELDS, value, strict=False))
    else:
        parts = {"x": value}
    given = {name: part for name, part in parts.items() if part is not None}
    return given if "x" in given and all(map(_is_part, given.values())) else None


def num_samples(value: Any) -> set[int]:
    """Return the numbers of samples of all arrays; there should be one."""
    found: set[int] = set()
    _map(lambda array: found.add(int(array.shape[0])), fit_arguments(value) or {})
    return found


def num_batches(value: Any) -> int:
    """Return how many batches Keras makes of arrays."""
    return math.ceil(max(num_samples(value)) / BATCH_SIZE)


def batches_of(value: Any) -> Iterator[Any]:
    """Yield the batches that Keras makes of arrays, in order, with its dtype for floats."""
    import keras

    arguments = fit_arguments(value) or {}
    for start in range(0, max(num_samples(value)), BATCH_SIZE):
        rows = slice(start, start + BATCH_SIZE)
        batch = _map(partial(_rows, rows=rows, floatx=keras.config.floatx()), arguments)
        fields = FIELDS if "sample_weight" in batch else FIELDS[: len(batch)]
        yield tuple(batch.get(name) for name in fields)


def _rows(array: Any, rows: slice, floatx: str) -> Any:
    part = array.iloc[rows].to_numpy() if hasattr(array, "iloc") else array[rows]  # pandas has it
    is_float = isinstance(part, np.ndarray) and part.dtype.kind == "f"
    return part.astype(floatx) if is_float else part


def _is_part(value: Any) -> bool:
    if isinstance(value, dict):
        return bool(value) and all(map(_is_part, value.values()))
    if isinstance(value, list | tuple):
        return bool(value) and all(map(_is_array, value))
    return _is_array(value)


def _is_array(value: Any) -> bool:
    shape = getattr(value, "shape", None)
    sliceable = hasattr(value, "__array__") or hasattr(value, "tocsr")  # the latter: SciPy, sparse
    return (
        sliceable
        and not isinstance(value, type)
        and isinstance(shape, tuple | list)
        and len(shape) > 0
    )


def _map(function: Callable[[Any], Any], value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _map(function, part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_map(function, part) for part in value)
    return function(value)
