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
from keras_loader_bench.loaders.bridges.passes import ENDLESS, Passes, shuffled_batches
from keras_loader_bench.loaders.bridges.returned import num_batches_of
from keras_loader_bench.loaders.bridges.tf_passes import PassesOfFit
from keras_loader_bench.loaders.bridges.tf_signature import Signature, signature_of
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
    shuffle: bool = False,
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
        shuffle: whether each pass has the batches in another order; see `shuffled_batches`.
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
        if shuffle:
            rows = shuffled_batches(rows, batch_size)
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
        ValueError: the batches that are looked at are none that `fit` takes, or no two of a kind.
    """
    num_batches = num_batches_of(dataset)
    if output_signature is None:
        # The first two, as Keras does, and the last one, which is the one that most often differs.
        looked_at = {0, 1} if num_batches is None else {0, min(1, num_batches - 1), num_batches - 1}
        signature = signature_of({index: dataset[index] for index in sorted(looked_at)})
    else:
        signature = Signature(output_signature)
    passes = Passes(dataset)
    workers = dataset.workers if dataset.workers > 1 else None

    def read(number: Any, index: Any) -> list[Any]:
        arrays = signature.arrays(dataset[int(index)], int(index))
        passes.has_read(int(number))
        return arrays

    def batch_of(number: Any, index: Any) -> Any:
        return signature.batch(_python(read, [number, index], signature.dtypes))

    def make(shuffle: bool) -> Any:
        def begin() -> Any:
            number, order = passes.begin(shuffle=shuffle)
            return np.int64(number), np.asarray([] if num_batches is None else order, np.int64)

        def indices_of_pass(_: Any) -> Any:
            number, order = _python(begin, [], [tf.int64, tf.int64])
            order.set_shape([None])
            indices = tf.data.Dataset.from_tensor_slices(order)
            if num_batches is None:
                indices = tf.data.Dataset.range(len(ENDLESS))
            return tf.data.Dataset.zip((tf.data.Dataset.from_tensors(number).repeat(), indices))

        return (
            tf.data.Dataset.range(1)
            .flat_map(indices_of_pass)
            .map(batch_of, num_parallel_calls=workers)
            .prefetch(dataset.max_queue_size if workers else AHEAD)
            .with_options(options)
        )

    options = tf.data.Options()
    options.deterministic = True
    options.autotune.enabled = False
    return PassesOfFit(make, lambda: num_batches_of(dataset))


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
