"""A source as TensorFlow sees it: tensors that share its mapped pages, and batches made of them.

Must not know: how rows are ordered, which loader asks.
"""

from __future__ import annotations

import inspect
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from keras_loader_bench.loaders.bridges.tf_stages import mapped
from keras_loader_bench.loaders.contract import Pixels, Rows
from keras_loader_bench.loaders.sources.image_source import ImageSource
from keras_loader_bench.loaders.sources.page_cache import ReadAdvice, has_room_for
from keras_loader_bench.loaders.system.cores import usable_cores

BATCHES_AHEAD = 2
"""How long before it is gathered the kernel is told of a batch."""


class MappedSource:
    """The tensors of a source.

    Args:
        source: the stored images.
    """

    def __init__(self, source: ImageSource) -> None:
        self._images = mapped_tensor(source.images)
        self._advice = ReadAdvice(source.images)
        self._has_room = has_room_for(source.images.nbytes)
        self._stored_labels = source.labels
        self._labels = mapped_tensor(self._stored_labels)
        self._one_hot = tf.eye(len(source.class_names), dtype=tf.float32)

    def begin(self, rows: Rows, batch_size: int) -> None:
        """See to it that a pass finds its rows in memory: the first batch, and all it has room for.

        Args:
            rows: of the pass, in their order.
            batch_size: of its first batch.
        """
        self._advice.begin(rows)
        if self._advice.cold:
            self._stored_labels.max()  # a byte each: read before the disk is asked for all images
            self._advice.will_need(rows[:batch_size])
            self._advice.want_whole()

    def batches(self, batches_of_rows: Any, pixels: Pixels, *, num_parallel_calls: int) -> Any:
        """Return a dataset of batches, in the order of a dataset of their rows.

        Args:
            batches_of_rows: its elements are integers, shape `(n,)`.
            pixels: the form in which the images are wanted.
            num_parallel_calls: batches that are made at the same time, and ahead.
        """
        return mapped(
            self._advised(batches_of_rows),
            lambda rows: self.batch(rows, pixels),
            num_parallel_calls=num_parallel_calls,
        )

    def _advised(self, batches_of_rows: Any) -> Any:
        """Return a dataset of the rows of each batch that lets the kernel read them in time.

        Python is called for every batch only where the source is too large to be read whole.
        """
        if self._has_room:
            return batches_of_rows

        def asked(rows: Any) -> Any:
            asked_for = tf.numpy_function(weakly(self._ask), [rows], rows.dtype)
            return tf.ensure_shape(asked_for, rows.shape)

        return mapped(batches_of_rows, asked).prefetch(BATCHES_AHEAD)

    def _ask(self, rows: Rows) -> Rows:
        if self._advice.cold:
            self._advice.read_next(rows)
        return rows

    def batch(self, rows: Any, pixels: Pixels) -> tuple[Any, Any]:
        """Return the batch of some rows.

        Args:
            rows: integers, a tensor of shape `(n,)`.
            pixels: the form in which the images are wanted.

        Returns:
            `x` of shape `(n, 32, 32, 3)` and `y` of shape `(n, 10)`, tensors on the CPU.
        """
        x = tf.gather(self._images, rows)
        if pixels == "float32":
            x = tf.cast(x, tf.float32) / 255.0
        return x, tf.gather(self._one_hot, tf.cast(tf.gather(self._labels, rows), tf.int32))


def tuned(dataset: Any, num_threads: int) -> Any:
    """Return a dataset that copies no captured tensor and keeps out of the training step's way.

    The default rewrites of the graph copy every captured tensor: here the whole mapped split. Its
    threads are those of the step unless it is given its own: on two cores, one thread of its own
    and no parallelism within an operation took a tenth off the CPU time of both. A thread that
    tunes it would make the boundary between two epochs some 15 ms longer now and then.

    Args:
        dataset: of batches.
        num_threads: its threads.
    """
    options = tf.data.Options()
    options.experimental_optimization.apply_default_optimizations = False
    options.threading.private_threadpool_size = num_threads
    options.threading.max_intra_op_parallelism = 1
    options.autotune.enabled = False
    return dataset.with_options(options)


def weakly(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that calls another one and does not keep it alive, nor what it refers to.

    TensorFlow never lets go of a function that a graph calls. The other one has to be kept by the
    dataset, as an attribute.
    """
    method = inspect.ismethod(function)
    reference = weakref.WeakMethod(function) if method else weakref.ref(function)
    name = function.__qualname__

    def call(*args: Any) -> Any:
        alive = reference()
        if alive is None:
            raise ReferenceError(f"`{name}` is gone with the dataset that it was made for.")
        return alive(*args)

    return call


def half_of_the_cores() -> int:
    """Return half of the cores that this process may use, at least 1."""
    return max(1, usable_cores() // 2)


class _ClaimedWritable:
    """The memory of a read-only array under NumPy's array interface, without the read-only flag.

    DLPack as TensorFlow takes it cannot say "read-only", so NumPy exports writable arrays only. A
    map opened for writing would do, but it needs a writable file and would let a stray write
    damage the source. TensorFlow never writes to a tensor that somebody else holds, and a write to
    these pages would end the process, not change the file.
    """

    def __init__(self, array: npt.NDArray[np.uint8]) -> None:
        self._owner = array  # the view's base is this object, which keeps the map open
        address, _ = array.__array_interface__["data"]
        self.__array_interface__ = {**array.__array_interface__, "data": (address, False)}


def mapped_tensor(images: npt.NDArray[np.uint8]) -> Any:
    """Return a tensor that shares the pages of a memory-mapped array.

    Args:
        images: uint8, any shape, C-contiguous.

    Returns:
        A `tf.Tensor` of the same shape and dtype, on the CPU. Its pages are read when they are
        first gathered and belong to the page cache.
    """
    view = np.asarray(_ClaimedWritable(images))
    return tf.experimental.dlpack.from_dlpack(view.__dlpack__())
