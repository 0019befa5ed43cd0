"""tf.data over the memory map, by the advice of TensorFlow's performance guide.

https://www.tensorflow.org/guide/data_performance: vectorise the map (it follows `batch`), run it in
parallel, prefetch. The source is read through one tensor that shares the mapped pages.
Must not know: how rows are ordered.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from loaders.contract import Loader, LoaderOptions, Rows
from loaders.source import ImageSource


class TfDataLoader(Loader):
    """A `tf.data.Dataset` that gathers rows of the mapped file and scales them in its graph.

    `num_workers` is the number of batches that are made in parallel (`num_parallel_calls`), with
    `prefetch_batches` ahead. Without workers tf.data tunes both by itself, which its guide advises.
    """

    def __init__(self, source: ImageSource, options: LoaderOptions) -> None:
        super().__init__(source, options)
        self._images = mapped_tensor(source.images)
        self._labels = tf.constant(source.labels)
        self._one_hot = tf.eye(len(source.class_names), dtype=tf.float32)

    def fit_args(self, rows: Rows) -> dict[str, Any]:
        """Return `x`: a dataset of `(x, y)` over the given rows."""
        workers = self.options.num_workers
        dataset = (
            tf.data.Dataset.from_tensor_slices(rows)
            .batch(self.options.batch_size)
            .map(self._batch, num_parallel_calls=workers or tf.data.AUTOTUNE, deterministic=True)
            .prefetch(self.options.prefetch_batches if workers else tf.data.AUTOTUNE)
        )
        graph_options = tf.data.Options()
        # The default rewrites copy every captured tensor: here the whole mapped split.
        graph_options.experimental_optimization.apply_default_optimizations = False
        return {"x": dataset.with_options(graph_options)}

    def _batch(self, rows: Any) -> tuple[Any, Any]:
        x = tf.gather(self._images, rows)
        if self.options.pixels == "float32":
            x = tf.cast(x, tf.float32) / 255.0
        return x, tf.gather(self._one_hot, tf.cast(tf.gather(self._labels, rows), tf.int32))

    def close(self) -> None:
        """Let go of the tensors, and with them of the map."""
        del self._images, self._labels, self._one_hot


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
