"""What a `PyDataset` returned: its length and its batches, or a sentence that says what is wrong.

Must not know: any framework.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any

import numpy as np

_FIELDS = ("x", "y", "sample_weight")

_NO_NUMBERS = {"O": "Python objects", "M": "dates", "m": "time spans", "S": "bytes", "U": "strings"}
"""Kinds of NumPy's dtypes of which no backend's `fit` makes a tensor."""


def num_batches_of(dataset: Any) -> int | None:
    """Return how many batches a `PyDataset` says that it has; `None`: it has no end.

    Raises:
        ValueError: it is no number of batches; the message names the method that returned it.
    """
    kind = type(dataset)
    own_length = getattr(kind, "__len__", None)
    if callable(getattr(kind, "num_batches", None)):
        raise ValueError(
            f"`{kind.__name__}.num_batches` is a method, but Keras reads it as an attribute; write "
            "`@property` above it."
        )
    try:
        value = dataset.num_batches
    except (TypeError, ValueError):
        # `len` says neither whose it is nor what came: the method itself is asked.
        value = None if own_length is None else own_length(dataset)
        if value is None or _is_length(value):
            raise
        by = "__len__"
    else:
        by = "num_batches"
    if value is None:
        return None
    if not _is_length(value):
        raise ValueError(
            f"`{kind.__name__}.{by}` must return the number of batches as an `int` of at least 0, "
            f"got {value!r} of type `{type(value).__name__}`; `int(...)` makes one."
        )
    return operator.index(value)


def _is_length(value: Any) -> bool:
    try:
        return operator.index(value) >= 0
    except TypeError:
        return False


def checked_batch(batch: Any, index: int, *, strings: bool = False) -> Any:
    """Return a batch that has the form of one.

    Args:
        batch: what `__getitem__` returned.
        index: its number.
        strings: whether arrays of strings are taken.

    Raises:
        ValueError: `fit` takes no such batch; the message names the field.
    """
    parts = batch if isinstance(batch, (tuple, list)) else (batch,)
    if not 1 <= len(parts) <= len(_FIELDS):
        raise ValueError(
            f"Batch {index} has {len(parts)} fields; `fit` takes `x`, `(x, y)` or "
            "`(x, y, sample_weight)`."
        )
    for name, part in zip(_FIELDS, parts, strict=False):
        _check(part, name, index, strings)
    return batch


def _check(value: Any, name: str, index: int, strings: bool) -> None:
    if isinstance(value, np.ndarray):
        kind = value.dtype.kind
        if kind in _NO_NUMBERS and not (strings and kind in "SU"):
            raise ValueError(
                f"Batch {index}: `{name}` is an array of {_NO_NUMBERS[kind]} (dtype "
                f"{value.dtype}), and `fit` takes numbers on this backend; return them encoded as "
                "numbers from `__getitem__`."
            )
    elif isinstance(value, dict):
        for key, part in value.items():
            _check(part, f"{name}[{key!r}]", index, strings)
    elif isinstance(value, (tuple, list)):
        for number, part in enumerate(value):
            if _is_plain(part):
                raise ValueError(
                    f"Batch {index}: `{name}` is a {type(value).__name__} of {len(value)} with "
                    f"values of type `{type(part).__name__}`, and `fit` takes arrays; return "
                    f"`np.array(...)` of it from `__getitem__`."
                )
            _check(part, f"{name}[{number}]", index, strings)
    elif value is not None and _is_plain(value):
        raise ValueError(
            f"Batch {index}: `{name}` is of type `{type(value).__name__}`, and `fit` takes arrays; "
            "return one from `__getitem__`."
        )


def _is_plain(value: Any) -> bool:
    """Return whether a value is neither an array of any library nor a structure of them."""
    return not (value is None or hasattr(value, "shape") or isinstance(value, (dict, tuple, list)))


def fields(batch: Any) -> Iterator[tuple[str, Any]]:
    """Yield the name and the value of every array of a batch; dictionaries by sorted keys."""
    parts = batch if isinstance(batch, (tuple, list)) else (batch,)
    for name, part in zip(_FIELDS, parts, strict=False):
        yield from _fields(name, part)


def _fields(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key in sorted(value):
            yield from _fields(f"{name}[{key!r}]", value[key])
    elif isinstance(value, (tuple, list)):
        for number, part in enumerate(value):
            yield from _fields(f"{name}[{number}]", part)
    else:
        yield name, value
