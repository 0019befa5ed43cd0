"""The bridge on TensorFlow: a dataset whose graph calls Python once per batch, or less often.

Keras' own way, `tf.data.Dataset.from_generator`, calls Python several times per batch and copies
what it returns.
"""

from __future__ import annotations

import traceback
import weakref
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import numpy.typing as npt
import tensorflow as tf

from keras_loader_bench.loaders.bridges.mapped_tensors import MappedSource
from keras_loader_bench.loaders.bridges.py_dataset_bridge import Passes
from keras_loader_bench.loaders.contract import Pixels, Rows
from keras_loader_bench.loaders.sources.image_source import ImageSource
from keras_loader_bench.loaders.system.cores import usable_cores

AHEAD = 2
"""Batches that a dataset which is read by one thread may be ahead."""

HEAD_START_US = 100
"""For so long a training step that has taken a batch is left alone before the next is made."""


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
    """Return a `tf.data.Dataset` of a mapped source that calls Python once per pass, for the rows.

    Where the source is too large for half of the available memory, Python is also called once per
    batch, to let the kernel read ahead.

    Args:
        source: the stored images.
        rows_of_next_pass: returns the rows of the pass that begins.
        num_samples: rows of every pass.
        dtype: of the rows: int32 or int64.
        batch_size: samples in every batch but the last, which may be smaller.
        pixels: the form in which the images are wanted.
        num_workers: batches that are made in parallel; 0 or `None`: one for two cores, at most as
            many as may be ahead.
        prefetch_batches: batches that may be ahead. TensorFlow, left to decide, goes further ahead
            the longer a pass takes.
    """
    stored = MappedSource(source)
    in_parallel = num_workers or max(1, min(usable_cores() // 2, prefetch_batches))

    def rows_of_pass() -> Rows:
        rows = rows_of_next_pass()
        if len(rows) != num_samples:
            raise ValueError(
                f"A pass must have as many rows as when the dataset was made, {num_samples}, got "
                f"{len(rows)}. Make the dataset again after their number has changed."
            )
        stored.begin(rows, batch_size)
        return rows

    def ask_for(rows: Rows) -> Rows:
        return stored.ask_for(rows)

    def batches_of_rows(_: Any) -> Any:
        rows = tf.ensure_shape(_python(rows_of_pass, [], dtype), (num_samples,))
        return _with_head_start(tf.data.Dataset.from_tensor_slices(rows).batch(batch_size))

    dataset = tf.data.Dataset.range(1).flat_map(batches_of_rows)
    if not stored.has_room:
        dataset = dataset.map(
            lambda rows: tf.ensure_shape(_python(ask_for, [rows], dtype), (None,))
        ).prefetch(AHEAD)
    # One call more than threads: it waits for its head start while they work.
    dataset = (
        dataset.map(lambda rows: stored.batch(rows, pixels), num_parallel_calls=in_parallel + 1)
        .apply(tf.data.experimental.assert_cardinality(-(-num_samples // batch_size)))
        .prefetch(max(1, prefetch_batches - 1))
    )
    options = tf.data.Options()
    options.deterministic = True
    # The default rewrites of the graph copy every captured tensor: here the whole mapped split.
    options.experimental_optimization.apply_default_optimizations = False
    # Threads of its own, or it would take those of the training step.
    options.threading.private_threadpool_size = in_parallel
    options.threading.max_intra_op_parallelism = 1
    options.autotune.enabled = False  # nothing is left to tune
    return dataset.with_options(options)


def _with_head_start(rows_of_batches: Any) -> Any:
    """Return a dataset that waits `HEAD_START_US` before each element, a tensor.

    A batch that is taken makes room for the next one. Made in the same moment, that one competes
    with the beginning of the step where cores are few. `tf.data.Dataset` has no stage that waits,
    and its `experimental_slack` rewrites the graph, which copies the mapped source.
    """
    spec = rows_of_batches.element_spec
    variant = tf.raw_ops.SleepDataset(
        input_dataset=tf.data.experimental.to_variant(rows_of_batches),
        sleep_microseconds=HEAD_START_US,
        output_types=[spec.dtype],
        output_shapes=[spec.shape],
    )
    return tf.data.experimental.from_variant(variant, spec)


def tf_dataset(dataset: keras.utils.PyDataset, output_signature: Any = None) -> Any:
    """Return the `tf.data.Dataset` of any dataset; see `loaders.bridge`.

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
    workers = dataset.workers if dataset.workers > 1 else None

    def read(index: Any) -> list[Any]:
        batch = _as_tuple(dataset[int(index)])
        tf.nest.assert_same_structure(batch, signature)
        return [np.asarray(array) for array in tf.nest.flatten(batch)]

    def begin() -> Any:
        length = passes.begin()
        return np.int64(np.iinfo(np.int64).max if length is None else length)

    def end() -> Any:
        passes.end()
        return np.int64(0)

    def batch_of(index: Any) -> Any:
        arrays = _python(read, [index], [spec.dtype for spec in specs])
        checked = [tf.ensure_shape(a, spec.shape) for a, spec in zip(arrays, specs, strict=True)]
        return tf.nest.pack_sequence_as(signature, checked)

    one = tf.data.Dataset.range(1)
    indices = one.flat_map(lambda _: tf.data.Dataset.range(_python(begin, [], tf.int64)))
    # No batches: it is there to be asked when all batches have been read.
    none = one.flat_map(lambda _: tf.data.Dataset.range(_python(end, [], tf.int64)))
    result = indices.map(batch_of, num_parallel_calls=workers)
    result = result.concatenate(none.map(batch_of))
    if num_batches is not None:
        result = result.apply(tf.data.experimental.assert_cardinality(num_batches))
    options = tf.data.Options()
    options.deterministic = True
    options.autotune.enabled = False
    return result.prefetch(dataset.max_queue_size if workers else AHEAD).with_options(options)


def _python(function: Callable[..., Any], inputs: list[Any], dtypes: Any) -> Any:
    """Return what a function returns that is called when the graph runs.

    TensorFlow never lets go of what `numpy_function` is given, so that does not keep the function
    alive: the dataset does. What it raises reaches the caller of `fit` with its traceback:
    TensorFlow shows the message alone, and takes `StopIteration` for the end of the data.
    """
    reference = weakref.ref(function)

    def call(*args: Any) -> Any:
        alive = reference()
        assert alive is not None
        try:
            return alive(*args)
        except Exception as error:
            shown = "".join(traceback.format_exception(error))
            raise RuntimeError(
                f"the dataset raised {type(error).__name__}: {error}\n{shown}"
            ) from error

    return tf.numpy_function(call, inputs, dtypes)


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
