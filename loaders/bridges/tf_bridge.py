"""The bridge on TensorFlow: a dataset whose graph calls Python once a batch, or less often.

Keras hands a `PyDataset` to `tf.data.Dataset.from_generator`, whose graph calls Python several
times a batch and copies what it returns.
Must not know: any particular dataset.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from keras_loader_bench.loaders.bridges.mapped_tensors import (
    MappedSource,
    half_of_the_cores,
    tuned,
    weakly,
)
from keras_loader_bench.loaders.bridges.py_dataset_bridge import Passes
from keras_loader_bench.loaders.bridges.tf_stages import flat_mapped, mapped
from keras_loader_bench.loaders.contract import Pixels, Rows
from keras_loader_bench.loaders.sources.image_source import ImageSource

AHEAD = 2
"""Batches that a dataset which is read by one thread may be ahead."""


def _explaining(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let what a function raises reach the caller of `fit`, with its traceback, as an error.

    TensorFlow takes `StopIteration` for the end of the data, and the pass would end without a word.
    """

    def explain(*args: Any) -> Any:
        try:
            return function(*args)
        except Exception as error:
            shown = "".join(traceback.format_exception(error))
            raise RuntimeError(
                f"the dataset raised {type(error).__name__}: {error}\n{shown}"
            ) from error

    return explain


def rows_dataset(
    source: ImageSource,
    rows_of_next_pass: Callable[[], Rows],
    *,
    num_samples: int,
    dtype: npt.DTypeLike,
    batch_size: int,
    pixels: Pixels,
    num_workers: int | None,
    prefetch_batches: int,
) -> Any:
    """Return the batches of a mapped source; Python is called once a pass, for the rows.

    It is also called once per batch, to let the kernel read ahead, where the source is too large
    for half of the available memory.

    Args:
        source: the stored images.
        rows_of_next_pass: returns the rows of the pass that begins. TensorFlow shares their memory
            where it is aligned as a map is, and copies them otherwise.
        num_samples: rows of every pass.
        dtype: of the rows: int32 or int64.
        batch_size: samples in every batch but the last, which may be smaller.
        pixels: the form in which the images are wanted.
        num_workers: batches that are made in parallel; 0 or `None`: one for two cores, at most as
            many as may be ahead.
        prefetch_batches: batches that may be ahead. TensorFlow, left to decide, goes further ahead
            the longer a pass takes.

    Returns:
        A `tf.data.Dataset` of `(x, y)`.
    """
    stored = MappedSource(source)
    in_parallel = num_workers or min(half_of_the_cores(), prefetch_batches)

    @_explaining
    def rows_of_pass() -> Rows:
        rows = rows_of_next_pass()
        if len(rows) != num_samples:
            raise ValueError(
                f"A pass must have as many rows as when the dataset was made, {num_samples}, got "
                f"{len(rows)}. Make the dataset again after their number has changed."
            )
        stored.begin(rows, batch_size)
        return rows

    def batches_of_rows(_: Any) -> Any:
        rows = tf.numpy_function(weakly(rows_of_pass), [], dtype)
        rows.set_shape((num_samples,))
        return tf.data.Dataset.from_tensor_slices(rows).batch(batch_size)

    each_pass = flat_mapped(tf.data.Dataset.range(1), batches_of_rows)
    dataset = (
        stored.batches(each_pass, pixels, num_parallel_calls=in_parallel)
        .apply(tf.data.experimental.assert_cardinality(-(-num_samples // batch_size)))
        .prefetch(prefetch_batches)
    )
    dataset = tuned(dataset, in_parallel)
    dataset.calls_back = rows_of_pass
    return dataset


def tf_dataset(dataset: keras.utils.PyDataset, output_signature: Any = None) -> Any:
    """Return the `tf.data.Dataset` of any dataset; see `loaders.bridge`.

    Args:
        dataset: its batches are structures of NumPy arrays.
        output_signature: the structure of a batch, of `tf.TensorSpec`; `None`: that of the first
            and the last batch, with `None` for sizes in which they differ.

    Returns:
        A `tf.data.Dataset` that calls `dataset[i]` once a batch, in `dataset.workers` calls at a
        time, and delivers in order.

    Raises:
        ValueError: the first and the last batch have another structure or dtype.
    """
    num_batches = dataset.num_batches
    signature = output_signature
    if signature is None:
        last = 1 if num_batches is None else num_batches - 1
        signature = _common_signature(dataset[0], dataset[last])
    specs = tf.nest.flatten(signature)
    passes = Passes(dataset)
    workers = dataset.workers if dataset.workers > 1 else 0

    @_explaining
    def read(index: Any) -> list[Any]:
        batch = _as_tuple(dataset[int(index)])
        tf.nest.assert_same_structure(batch, signature)
        return [np.asarray(array) for array in tf.nest.flatten(batch)]

    @_explaining
    def begin() -> Any:
        length = passes.begin()
        return np.int64(np.iinfo(np.int64).max if length is None else length)

    @_explaining
    def end() -> Any:
        passes.end()
        return np.int64(0)

    def batch_of(index: Any) -> Any:
        arrays = tf.numpy_function(weakly(read), [index], [spec.dtype for spec in specs])
        checked = [tf.ensure_shape(a, spec.shape) for a, spec in zip(arrays, specs, strict=True)]
        return tf.nest.pack_sequence_as(signature, checked)

    def indices(_: Any) -> Any:
        return tf.data.Dataset.range(tf.numpy_function(weakly(begin), [], tf.int64))

    def nothing(_: Any) -> Any:
        none = tf.data.Dataset.range(tf.numpy_function(weakly(end), [], tf.int64))
        return mapped(none, batch_of)

    one = tf.data.Dataset.range(1)
    batches = mapped(flat_mapped(one, indices), batch_of, num_parallel_calls=workers)
    result = batches.concatenate(flat_mapped(one, nothing))
    if num_batches is not None:
        result = result.apply(tf.data.experimental.assert_cardinality(num_batches))
    options = tf.data.Options()
    options.autotune.enabled = False
    result = result.prefetch(dataset.max_queue_size if workers else AHEAD).with_options(options)
    result.calls_back = read, begin, end
    return result


def _as_tuple(batch: Any) -> Any:
    """Return a batch in the form that Keras gives it: a list is a tuple, an array one of one."""
    if isinstance(batch, list):
        return tuple(batch)
    return batch if isinstance(batch, (tuple, dict)) else (batch,)


def _common_signature(first: Any, last: Any) -> Any:
    def common(one: Any, other: Any) -> Any:
        one, other = np.asarray(one), np.asarray(other)
        if one.dtype != other.dtype or one.ndim != other.ndim:
            raise ValueError(
                f"All batches must have the same dtypes and numbers of dimensions, the first has "
                f"{one.dtype} {one.shape} and the last {other.dtype} {other.shape}."
            )
        sizes = zip(one.shape, other.shape, strict=True)
        shape = [a if a == b else None for a, b in sizes]
        return tf.TensorSpec(shape, tf.as_dtype(one.dtype))

    return tf.nest.map_structure(common, _as_tuple(first), _as_tuple(last))
