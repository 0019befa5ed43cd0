"""What batches of a `PyDataset` are on TensorFlow: their signature, and the arrays in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from keras_loader_bench.loaders.bridges.returned import checked_batch, fields

_REMEDY = (
    "where batches differ, say so: `bridge(dataset, output_signature=...)` takes the "
    "`tf.TensorSpec` of a batch, with `None` for a size that differs"
)


class Signature:
    """The types of a batch's tensors.

    Sparse matrices of SciPy become sparse tensors; those of TensorFlow, and ragged ones, stay what
    they are. `None` stays `None`.

    Args:
        structure: a `tf.TypeSpec` or `None` for every field, in the structure of a batch.
    """

    def __init__(self, structure: Any) -> None:
        self._structure = _as_tuples(structure)
        self._specs = tf.nest.flatten(self._structure)
        self._sizes = [
            None if spec is None or spec.shape.rank is None else spec.shape.as_list()
            for spec in self._specs
        ]
        parts = tf.nest.flatten(self._structure, expand_composites=True)
        self._is_tensor = [part is not None for part in parts]
        self._tensors = [part for part in parts if part is not None]
        self.dtypes = [part.dtype for part in self._tensors]
        """Of the arrays that a batch consists of."""

    def arrays(self, batch: Any, index: int) -> list[Any]:
        """Return the arrays that a batch consists of.

        Args:
            batch: what `__getitem__` returned.
            index: its number.

        Raises:
            ValueError: it is not of this signature; the message names the field.
        """
        batch = _as_tuples(checked_batch(batch, index, strings=True))
        leaves = tf.nest.flatten(batch)
        if len(leaves) != len(self._specs) or not _same_structure(batch, self._structure):
            raise ValueError(
                f"Batch {index} has the fields {_names(batch)}, where others have "
                f"{_names(self._structure)}; all batches must have the same."
            )
        arrays: list[Any] = []
        for place, (leaf, spec) in enumerate(zip(leaves, self._specs, strict=True)):
            value = _value(leaf, spec)
            if not self._fits(value, place):
                name = [name for name, _ in fields(batch)][place]
                raise ValueError(
                    f"Batch {index}: `{name}` is {_shown(value)}, where {_shown(spec)} was "
                    f"expected, as in others; {_REMEDY}."
                )
            if isinstance(value, np.ndarray):
                arrays.append(value)
            elif value is not None:
                arrays += tf.nest.flatten(value, expand_composites=True)
        return arrays

    def _fits(self, value: Any, place: int) -> bool:
        spec, sizes = self._specs[place], self._sizes[place]
        if value is None or spec is None:
            return value is spec
        if isinstance(value, np.ndarray):
            same_kind = type(spec) is tf.TensorSpec
            same_kind &= spec.dtype == tf.string or value.dtype == spec.dtype.as_numpy_dtype
        else:
            same_kind = isinstance(spec, type(_spec_of(value))) and value.dtype == spec.dtype
        if sizes is None or not same_kind:
            return same_kind
        return len(value.shape) == len(sizes) and all(
            size is None or got is None or got == size
            for got, size in zip(value.shape, sizes, strict=True)
        )

    def batch(self, tensors: list[Any]) -> Any:
        """Return the batch that consists of tensors, within a graph."""
        for tensor, spec in zip(tensors, self._tensors, strict=True):
            tensor.set_shape(spec.shape)
        rest = iter(tensors)
        parts = [next(rest) if is_tensor else None for is_tensor in self._is_tensor]
        return tf.nest.pack_sequence_as(self._structure, parts, expand_composites=True)


def signature_of(batches: Mapping[int, Any]) -> Signature:
    """Return the signature of some batches of a dataset, by number.

    The number of samples is `None`, and so are other sizes that differ.

    Raises:
        ValueError: a batch is none that `fit` takes, or they have nothing in common.
    """
    checked = {
        index: _as_tuples(checked_batch(batch, index, strings=True))
        for index, batch in batches.items()
    }
    (first, one), *others = checked.items()
    for index, other in others:
        if not _same_structure(one, other):
            raise ValueError(
                f"Batch {index} has the fields {_names(other)} and batch {first} has "
                f"{_names(one)}; all batches must have the same."
            )
    columns = zip(*(tf.nest.flatten(batch) for batch in checked.values()), strict=True)
    specs: list[Any] = []
    for (name, _), column in zip(fields(one), columns, strict=True):
        found = [None if leaf is None else _spec_of(_value(leaf)) for leaf in column]
        if any(spec is not None for spec in found):
            common = None if None in found else _common(found)
            if common is None:
                kinds = zip(map(_shown, found), checked, strict=True)
                raise ValueError(
                    f"`{name}` must be of one kind in all batches, got "
                    f"{', '.join(f'{kind} in batch {index}' for kind, index in kinds)}."
                )
            specs.append(common)
        else:
            specs.append(None)
    return Signature(tf.nest.pack_sequence_as(one, specs))


def _as_tuples(value: Any) -> Any:
    """Return a batch in the form that Keras gives it: an array is one of one, a list a tuple.

    `tf.data` makes one tensor of a list.
    """
    return _without_lists(value if isinstance(value, (tuple, list, dict)) else (value,))


def _without_lists(value: Any) -> Any:
    if isinstance(value, (tuple, list)):
        return tuple(map(_without_lists, value))
    if isinstance(value, dict):
        return {key: _without_lists(part) for key, part in value.items()}
    return value


def _same_structure(one: Any, other: Any) -> bool:
    try:
        tf.nest.assert_same_structure(one, other)
    except (TypeError, ValueError):
        return False
    return True


def _names(batch: Any) -> str:
    return ", ".join(f"`{name}`" for name, _ in fields(batch))


def _value(leaf: Any, spec: Any = None) -> Any:
    """Return a field as an array, in the dtype of a signature, or as a tensor of several."""
    if leaf is None or isinstance(leaf, (tf.SparseTensor, tf.RaggedTensor)):
        return leaf
    if type(leaf).__module__.startswith("scipy.sparse"):
        by_row = leaf.tocsr().tocoo()  # as TensorFlow wants them
        return tf.SparseTensor(np.stack([by_row.row, by_row.col], 1), by_row.data, by_row.shape)
    array = np.asarray(leaf)
    if type(spec) is tf.TensorSpec and spec.dtype != tf.string:
        dtype = spec.dtype.as_numpy_dtype
        if array.dtype != dtype and np.can_cast(array.dtype, dtype, "same_kind"):
            cast = array.astype(dtype)
            # An integer that the dtype cannot hold would become another one.
            same = cast.dtype.kind not in "iu" or np.array_equal(cast, array)
            return cast if same else array
    return array


def _spec_of(value: Any) -> Any:
    sizes = [None, *value.shape[1:]] if len(value.shape) else []
    if isinstance(value, tf.SparseTensor):
        return tf.SparseTensorSpec(sizes, value.dtype)
    if isinstance(value, tf.RaggedTensor):
        return tf.RaggedTensorSpec(sizes, value.dtype, value.ragged_rank, value.row_splits.dtype)
    return tf.TensorSpec(sizes, tf.as_dtype(value.dtype))


def _common(specs: list[Any]) -> Any:
    """Return the type of all fields of some types; `None`: there is none."""
    if all(type(spec) is tf.TensorSpec for spec in specs) and len({s.dtype for s in specs}) > 1:
        if tf.string in {spec.dtype for spec in specs}:
            return None
        dtype = tf.as_dtype(np.result_type(*(spec.dtype.as_numpy_dtype for spec in specs)))
        specs = [tf.TensorSpec(spec.shape, dtype) for spec in specs]
    return specs[0].most_specific_common_supertype(specs[1:])


def _shown(value: Any) -> str:
    if value is None:
        return "`None`"
    dtype = value.dtype.name if hasattr(value.dtype, "name") else value.dtype
    return f"{dtype} {tuple(value.shape)}" if value.shape is not None else f"{dtype}"
