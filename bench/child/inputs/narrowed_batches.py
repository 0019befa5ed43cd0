"""Gives arrays of an input's batches narrower dtypes, which hold the same values."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import keras

from keras_loader_bench.bench.child.inputs.around_dataset import AroundDataset
from keras_loader_bench.bench.child.inputs.batch_form import as_fit_takes_it
from keras_loader_bench.loaders.audit.inputs.arrays import FIELDS, array_name
from keras_loader_bench.loaders.audit.inputs.kinds import Kind
from keras_loader_bench.loaders.system.text import shown

Dtypes = Mapping[str, str]
"""Name of an array of a batch, such as `x/image` -> the dtype that it gets."""


def narrowed_input(value: Any, kind: Kind, dtypes: Dtypes) -> Any:
    """Return an input with a cast behind it.

    Args:
        value: the input; of a generator the rest is read.
        kind: of it.
        dtypes: what its arrays are cast to; see `narrow_dtypes`.
    """
    cast = Cast(dtypes)
    if kind == "PyDataset":
        return NarrowedDataset(value, cast)
    if kind == "tf.data dataset":
        return value.map(lambda *parts: cast(parts if len(parts) > 1 else parts[0]))
    if kind == "grain dataset":
        return value.map(cast)
    if kind == "generator":
        return (cast(batch) for batch in value)
    if kind == "arrays" and isinstance(value, dict) and "x" in value:  # named as `fit` does
        return dict(zip(value, cast(tuple(value.values()), tuple(value)), strict=True))
    if kind == "arrays":
        return cast(value)
    value = copy.copy(value)  # of a DataLoader; the input itself is what the audit reads
    value.collate_fn = Cast(dtypes, value.collate_fn)
    return value


class NarrowedDataset(AroundDataset):
    """A `PyDataset` of which each batch is cast.

    Args:
        dataset: is asked for batches.
        cast: changes each.
    """

    def __init__(self, dataset: Any, cast: Cast) -> None:
        super().__init__(dataset)
        self._cast = cast

    def __getitem__(self, index: int) -> Any:
        return self._cast(self.dataset[index])


class Cast:
    """A function of a batch; worker processes can take it along.

    Args:
        dtypes: name of an array -> what it is cast to. Others stay as they are.
        make: makes the batch of what the function is given; `None`: it is given the batch.
    """

    def __init__(self, dtypes: Dtypes, make: Callable[[Any], Any] | None = None) -> None:
        self._dtypes = dict(dtypes)
        self._make = make

    def __call__(self, given: Any, fields: tuple[str, ...] = FIELDS) -> Any:
        """Return the batch, cast.

        Args:
            given: the batch, or what it is made of.
            fields: what the parts of a batch are called.
        """
        batch = given if self._make is None else self._make(given)
        batch = as_fit_takes_it(batch)
        parts = batch if isinstance(batch, tuple) else (batch,)
        leaves = [
            self._cast(leaf, array_name(fields[path[0]], path[1:]))
            for path, leaf in keras.tree.flatten_with_path(parts)
        ]
        cast = keras.tree.pack_sequence_as(parts, leaves)
        return cast if isinstance(batch, tuple) else cast[0]

    def _cast(self, array: Any, name: str) -> Any:
        dtype = self._dtypes.get(shown(name))
        if dtype is None or array is None:
            return array
        if hasattr(array, "astype"):
            return array.astype(dtype)
        if type(array).__module__.startswith("torch"):
            import torch

            return array.to(getattr(torch, dtype))
        import tensorflow as tf

        return tf.cast(array, dtype)
