"""What a batch holds, in a form that can be hashed: a field is an array, or uneven samples.

Takes the arrays and tensors of every framework and imports none: kinds are recognised by class
names, as Keras does.
"""

from __future__ import annotations

import importlib
import math
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

DenseArrays = Mapping[str, Array]
"""The arrays of a batch of which none is uneven, by name."""


@dataclass(frozen=True, kw_only=True)
class Uneven:
    """Samples that need not be of one size: strings, objects, sparse or ragged rows."""

    kind: Literal["string", "object", "sparse", "ragged"]
    shape: tuple[int | None, ...]
    """`None`: differs from sample to sample."""

    keys: tuple[bytes, ...]
    """Of each sample: a string or an object, the places of its values, the lengths of its rows."""

    values: Array
    """The numbers of all samples, one after the other."""

    ends: Array
    """Where those of each sample end."""

    padded: Array | None = None
    """Of ragged rows: an array of them, filled up with zeros, as backends without such rows get."""

    @property
    def dtype(self) -> str:
        """Such as `string` or `sparse float32`."""
        plain = self.kind in ("string", "object")
        return self.kind if plain else f"{self.kind} {self.values.dtype}"

    @property
    def ndim(self) -> int:
        """Dimensions, that of the samples included."""
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """The size in bytes."""
        return self.values.nbytes + sum(map(len, self.keys))

    def __len__(self) -> int:
        return len(self.keys)

    def sample(self, i: int) -> bytes:
        """Return all that makes one sample, with its length in front: sizes differ."""
        values = self.values[self.ends[i - 1] if i else 0 : self.ends[i]].tobytes()
        return len(self.keys[i]).to_bytes(8) + self.keys[i] + len(values).to_bytes(8) + values


Field = Array | Uneven


def numbers(field: Field) -> Array:
    """Return the numbers in a field."""
    return field.values if isinstance(field, Uneven) else field


def with_dtype(field: Field, dtype: Any) -> Field:
    """Return the field with its numbers in another dtype."""
    with np.errstate(over="ignore", invalid="ignore"):
        cast = np.asarray(numbers(field)).astype(dtype, copy=False)
    return replace(field, values=cast) if isinstance(field, Uneven) else cast


def same_bytes(one: Array, other: Array) -> bool:
    """Return whether two arrays hold the same bytes; NaN equals NaN."""
    return one.dtype == other.dtype and np.array_equal(_flat(one), _flat(other))


def as_bytes(array: Array) -> memoryview:
    """Return the values in C order."""
    return _flat(array).data


def _flat(array: Array) -> npt.NDArray[np.uint8]:
    # Not every dtype lends its memory as a buffer.
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def samples_of_field(field: Field) -> Sequence[Any]:
    """Return the bytes of each sample of a field of shape `(n, ...)`."""
    if isinstance(field, Uneven):
        return [field.sample(i) for i in range(len(field))]
    size = math.prod(field.shape[1:]) * field.dtype.itemsize
    values = as_bytes(field)
    return [values[i * size : (i + 1) * size] for i in range(len(field))]


def as_field(value: Any) -> Field:
    """Return any framework's array as a field.

    Args:
        value: an array or a tensor, dense, sparse or ragged, of numbers, strings or objects.
    """
    name, module = type(value).__name__, type(value).__module__
    if module.startswith("scipy.sparse") and hasattr(value, "tocoo"):
        coo = value.tocoo()
        return _sparse(np.stack(coo.coords, axis=1), coo.data, coo.shape)
    if module.startswith("tensorflow.") and name == "SparseTensor":
        return _sparse(value.indices.numpy(), value.values.numpy(), tuple(value.shape))
    if module.startswith("tensorflow.") and name == "RaggedTensor":
        return _ragged(value)
    if module.startswith("jax.experimental.sparse"):
        if name != "BCOO" or value.n_batch or value.n_dense:
            return np.asarray(value.todense())
        return _sparse(np.asarray(value.indices), np.asarray(value.data), value.shape)
    if module.startswith("torch"):
        return _torch(value)
    array = value.numpy() if module.startswith("tensorflow.") else np.asarray(value)
    array = np.asarray(array)  # of a scalar, TensorFlow returns no array
    return _objects(array) if array.dtype.kind in "OSTU" else array


def as_dtype(field: Field, wanted: Any) -> Field:
    """Return a field as another one was yielded, or as it is if a value would change.

    Args:
        field: what was given.
        wanted: the dtype to return it in, a NumPy dtype or one of `Uneven`.
    """
    kind, _, dtype = str(wanted).rpartition(" ")
    if kind == "sparse" and isinstance(field, np.ndarray) and field.ndim:
        field = _sparse_of_dense(field)
    kind = "" if kind == "ragged" and isinstance(field, np.ndarray) else kind  # filled up
    have = field.kind if isinstance(field, Uneven) else ""
    if have != kind or dtype in ("string", "object"):
        return field
    values = numbers(field)
    try:
        back = with_dtype(field, dtype)
        unchanged = same_bytes(numbers(with_dtype(back, values.dtype)), values)
    except (TypeError, ValueError):  # no number of either dtype is one of the other
        return field
    return back if unchanged else field


def _sparse_of_dense(array: Array) -> Field:
    """Return an array as sparse rows, to be compared with such."""
    indices = np.argwhere(array != 0)
    return _sparse(indices, array[tuple(indices.T)], array.shape)


def _sparse(indices: Array, values: Array, shape: tuple[int, ...]) -> Field:
    """Sort the values by place and add up those of one place; zeros are left out."""
    inside = (indices < np.asarray(shape)).all(axis=1)  # JAX fills up with places outside
    size = max(1, math.prod(shape[1:]))
    places = np.ravel_multi_index(tuple(indices[inside].T.astype(np.int64)), shape)
    values = values[inside]
    if len(places) and values.dtype.kind != "O":
        order = np.argsort(places, kind="stable")
        places, starts = np.unique(places[order], return_index=True)
        values = values[order]
        values = values if len(starts) == len(values) else np.add.reduceat(values, starts)
        places, values = places[values != 0], values[values != 0]
    ends = np.searchsorted(places // size, np.arange(shape[0]), side="right")
    parts = np.split((places % size).astype(np.int64), ends[:-1]) if len(ends) else []
    return _uneven("sparse", tuple(shape), [part.tobytes() for part in parts], values, ends)


def _ragged(tensor: Any) -> Field:
    values = tensor.flat_values.numpy()
    splits = [each.numpy() for each in tensor.nested_row_splits]
    keys, ends = [], []
    for i in range(len(splits[0]) - 1):
        start, stop, lengths = i, i + 1, []
        for split in splits:
            lengths.append(np.diff(split[start : stop + 1]).astype(np.int64).tobytes())
            start, stop = split[start], split[stop]
        keys.append(b"".join(lengths))
        ends.append(stop)
    ragged = _uneven("ragged", tuple(tensor.shape), keys, values, np.array(ends, np.int64))
    return replace(ragged, padded=np.asarray(tensor.to_tensor().numpy()))


def _uneven(
    kind: Literal["sparse", "ragged"],
    shape: tuple[int | None, ...],
    keys: Sequence[bytes],
    values: Array,
    ends: Array,
) -> Uneven:
    if values.dtype.kind in "OSTU":
        parts = np.split(values, ends[:-1]) if len(ends) else []
        keys = [
            key + b"".join(map(_content, part.tolist()))
            for key, part in zip(keys, parts, strict=True)
        ]
        values, ends = np.empty(0, "S1"), np.zeros(len(keys), np.int64)
    return Uneven(kind=kind, shape=shape, keys=tuple(keys), values=values, ends=ends)


def _torch(tensor: Any) -> Field:
    tensor = tensor.detach().cpu()
    if str(tensor.layout) != "torch.strided":
        coo = tensor.to_sparse_coo().coalesce()
        return _sparse(coo.indices().T.numpy(), coo.values().numpy(), tuple(coo.shape))
    try:
        return np.asarray(tensor.numpy())
    except TypeError:  # a dtype that NumPy knows only from `ml_dtypes`
        dtype = getattr(importlib.import_module("ml_dtypes"), str(tensor.dtype).split(".")[-1])
        bits = importlib.import_module("torch").uint8
        flat = tensor.contiguous().reshape(-1).view(bits).numpy()
        return np.asarray(flat.view(dtype).reshape(tuple(tensor.shape)))


def _objects(array: Array) -> Field:
    if array.ndim == 0:
        return np.frombuffer(_content(array.item()), np.uint8)
    rows = array.reshape(len(array), math.prod(array.shape[1:])).tolist()
    string = array.dtype.kind != "O" or all(isinstance(each, str | bytes) for each in array.flat)
    return Uneven(
        kind="string" if string else "object",
        shape=array.shape,
        keys=tuple(b"".join(map(_content, row)) for row in rows),
        values=np.empty(0, np.uint8),
        ends=np.zeros(len(rows), np.int64),
    )


def _content(value: Any) -> bytes:
    """Return what an object holds, with its length in front; its address says nothing."""
    if isinstance(value, str | bytes):
        content = value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
    elif isinstance(value, np.ndarray) and not value.dtype.hasobject:
        content = f"{value.dtype}{value.shape}".encode() + as_bytes(value).tobytes()
    elif isinstance(value, list | tuple | np.ndarray):
        content = b"".join(map(_content, value))
    elif isinstance(value, Mapping):
        content = b"".join(map(_content, value.items()))
    else:
        try:
            content = pickle.dumps(value, protocol=4)
        except Exception:
            content = repr(value).encode()
    return len(content).to_bytes(8) + content
