"""A source as TensorFlow sees it: tensors that share its mapped pages, and batches made of them.

Must not know: how rows are ordered, which loader asks.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from keras_loader_bench.loaders.contract import Pixels, Rows
from keras_loader_bench.loaders.sources.image_source import ImageSource
from keras_loader_bench.loaders.sources.page_cache import ReadAdvice, has_room_for


class MappedSource:
    """The tensors of a source.

    Args:
        source: the stored images.
    """

    def __init__(self, source: ImageSource) -> None:
        self._images = mapped_tensor(source.images)
        self._advice = ReadAdvice(source.images)
        self.has_room = has_room_for(source.images.nbytes)
        """Whether it may be read whole; if not, each batch has to be asked for."""
        self._stored_labels = source.labels
        self._labels = mapped_tensor(self._stored_labels)
        self._one_hot = tf.eye(source.num_classes, dtype=tf.float32)

    def begin(self, rows: Rows, batch_size: int) -> None:
        """See `ReadAdvice.begin`."""
        self._stored_labels.max()  # a byte each: read before the disk is asked for all images
        self._advice.begin(rows, batch_size)

    def ask_for(self, rows: Rows) -> Rows:
        """Let the kernel read the rows of a batch that comes soon; return the rows."""
        self._advice.read_next(rows)
        return rows

    def batch(self, rows: Any, pixels: Pixels) -> tuple[Any, Any]:
        """Return `(x, y)` of some rows, a tensor of shape `(n,)`; see `contract.Batch`."""
        x = tf.gather(self._images, rows)
        if pixels == "float32":
            x = tf.cast(x, tf.float32) / 255.0
        return x, tf.gather(self._one_hot, tf.cast(tf.gather(self._labels, rows), tf.int32))


class _ClaimedWritable:
    """The memory of a read-only array under NumPy's array interface, without the read-only flag.

    DLPack as TensorFlow takes it cannot say "read-only", so NumPy exports writable arrays only.
    TensorFlow never writes to a tensor that somebody else holds, and a write to these pages would
    end the process, not change the file.
    """

    def __init__(self, array: npt.NDArray[np.uint8]) -> None:
        self._owner = array  # the view's base is this object, which keeps the map open
        address, _ = array.__array_interface__["data"]
        self.__array_interface__ = {**array.__array_interface__, "data": (address, False)}


def mapped_tensor(images: npt.NDArray[np.uint8]) -> Any:
    """Return a tensor that shares the pages of a memory-mapped, C-contiguous array."""
    view = np.asarray(_ClaimedWritable(images))
    return tf.experimental.dlpack.from_dlpack(view.__dlpack__())
