"""Batches that are read into buffers which are used again: see `BufferPool`.

Must not know: any framework, when a batch is read.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from keras_loader_bench.loaders.contract import Batch, Pixels, Rows
from keras_loader_bench.loaders.sequence.buffers import BufferPool
from keras_loader_bench.loaders.sources.image_source import ImageSource
from keras_loader_bench.loaders.sources.page_cache import ReadAdvice


class BufferedBatches:
    """The batches of some rows, each read when it is asked for, from any thread.

    Args:
        source: the stored images.
        rows: the rows to deliver, in this order, shape `(n,)`.
        batch_size: samples in every batch but the last, which may be smaller.
        pixels: the form in which the images are wanted.
        buffers: where batches get their memory from. All that they need is taken when the first
            batch is read: a run that has begun does not need more later, however steps go.
        most_ahead: batches that are held or being read beyond the one that is asked for.
        readers: threads that may be reading at once.

    Raises:
        IndexError: a row is none of the source's.
    """

    def __init__(
        self,
        source: ImageSource,
        rows: Rows,
        *,
        batch_size: int,
        pixels: Pixels,
        buffers: BufferPool,
        most_ahead: int,
        readers: int,
    ) -> None:
        for row in (rows.min(), rows.max()) if len(rows) else ():
            if not 0 <= row < source.num_samples:
                raise IndexError(
                    f"Row {row} does not exist: the source has the rows 0 to "
                    f"{source.num_samples - 1}."
                )
        self._images = source.images.view(np.ndarray)  # `take` of a `memmap` is slower
        self._labels = source.labels
        self._one_hot = np.eye(len(source.class_names), dtype=np.float32)
        self._rows = rows
        self._batch_size = batch_size
        self._pixels = pixels
        self._shape = min(batch_size, len(rows)), *self._images.shape[1:]
        """Of the images of all batches but the last, which lie in the same memory."""
        self._buffers = buffers
        self._most_ahead = most_ahead
        self._readers = readers
        self._advice = ReadAdvice(source.images)

    def __len__(self) -> int:
        return -(-len(self._rows) // self._batch_size)

    def __getitem__(self, index: int) -> Batch:
        """Return a batch, and see to it that the next one is in memory in time.

        Args:
            index: from 0 to `len(self) - 1`.
        """
        rows = self._rows_of(index)
        if index == 0:
            self._reserve()
            self._advice.begin(self._rows, self._batch_size)
        x = self._read(rows)
        self._advice.read_next(self._rows_of(index + 1))
        return x, self._one_hot.take(self._labels.take(rows), axis=0)

    def _reserve(self) -> None:
        """Take memory for the batches ahead, the one that is asked for, and the one before."""
        at_once = self._most_ahead + 2
        if self._pixels == "float32":
            self._buffers.reserve(self._shape, np.float32, at_once)
            at_once = self._readers  # stored pixels are done with when they are scaled
        self._buffers.reserve(self._shape, np.uint8, at_once)

    def _rows_of(self, index: int) -> Rows:
        return self._rows[index * self._batch_size : (index + 1) * self._batch_size]

    def _read(self, rows: Rows) -> npt.NDArray[Any]:
        stored = self._empty(len(rows), np.uint8)
        # Every row exists, so nothing is clipped; the default mode would not write in place.
        self._images.take(rows, axis=0, out=stored, mode="clip")
        if self._pixels == "uint8":
            return stored
        scaled = self._empty(len(rows), np.float32)
        np.divide(stored, np.float32(255), out=scaled, dtype=np.float32)
        return scaled

    def _empty(self, size: int, dtype: npt.DTypeLike) -> npt.NDArray[Any]:
        array = self._buffers.empty(self._shape, dtype)
        return array if size == len(array) else array[:size]
