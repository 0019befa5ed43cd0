"""Batches that are read into buffers which are used again: see `BufferPool`.

Must not know: any framework, when a batch is read.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from keras_loader_bench.loaders.contract import Batch, Batches, Rows, make_batch
from keras_loader_bench.loaders.sequence.buffers import BufferPool
from keras_loader_bench.loaders.sources.image_source import ImageSource
from keras_loader_bench.loaders.sources.page_cache import ReadAdvice


class BufferedBatches(Batches):
    """The batches of some rows, each read when it is asked for, from any thread.

    Args:
        source: the stored images.
        rows: the rows to deliver, in this order, shape `(n,)`.
        buffers: where batches get their memory from. All that they need is taken when the first
            batch is read: a run that has begun does not need more later, however steps go.
        most_ahead: batches that are held or being read beyond the one that is asked for.
        readers: threads that may be reading at once.
        options: `batch_size` and `pixels` of `Batches`.
    """

    def __init__(
        self,
        source: ImageSource,
        rows: Rows,
        *,
        buffers: BufferPool,
        most_ahead: int,
        readers: int,
        **options: Any,
    ) -> None:
        super().__init__(source, rows, **options)
        self._shape = min(self._batch_size, len(rows)), *source.sample_shape
        """Of the images of all batches but the last, which lie in the same memory."""
        self._buffers = buffers
        self._most_ahead = most_ahead
        self._readers = readers
        self._advice = ReadAdvice(source.images)

    def __getitem__(self, index: int) -> Batch:
        """Return a batch, and let the kernel read the next one where it is not in memory."""
        if index == 0:
            self._reserve()
            self._advice.begin(self._rows, self._batch_size)
        batch = make_batch(self._source, self._rows_of(index), self._pixels, empty=self._empty)
        self._advice.read_next(self._rows_of(index + 1))
        return batch

    def _reserve(self) -> None:
        """Take memory for the batches ahead, the one that is asked for, and the one before."""
        at_once = self._most_ahead + 2
        if self._pixels == "float32":
            self._buffers.reserve(self._shape, np.float32, at_once)
            at_once = self._readers  # stored pixels are done with when they are scaled
        self._buffers.reserve(self._shape, np.uint8, at_once)

    def _empty(self, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        array = self._buffers.empty(self._shape, dtype)
        return array if shape == self._shape else array[: shape[0]]
