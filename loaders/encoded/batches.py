"""Batches of encoded images: decoded by several threads together, into buffers used again.

Must not know: any framework, when a batch is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from keras_loader_bench.loaders.contract import Batch, Pixels, Rows, one_hot
from keras_loader_bench.loaders.encoded.decoding import Encoded, decode
from keras_loader_bench.loaders.encoded.views import View, Views
from keras_loader_bench.loaders.sequence.buffers import BufferPool

_Image = tuple[Encoded, View, npt.NDArray[Any]]

ReadEncoded = Callable[[Rows], Iterable[Encoded]]
"""Returns the encoded images of some rows, in their order; called from two threads at once."""


class DecodedBatches:
    """The batches of some rows, each read and decoded when it is asked for, from any thread.

    Args:
        read: reads encoded images.
        labels: of all rows of the source.
        num_classes: the width of a one-hot label.
        rows: the rows to deliver, in this order, shape `(n,)`.
        views: which part of each image.
        image_size: height and width of what is cut from every image, in pixels.
        batch_size: samples in every batch but the last, which may be smaller.
        pixels: the form in which the images are wanted.
        buffers: where batches get their memory from.
        decoders: threads that help the one that asks for a batch.
    """

    def __init__(
        self,
        read: ReadEncoded,
        labels: npt.NDArray[np.integer[Any]],
        num_classes: int,
        rows: Rows,
        views: Views,
        *,
        image_size: int,
        batch_size: int,
        pixels: Pixels,
        buffers: BufferPool,
        decoders: Decoders,
    ) -> None:
        self._read = read
        self._labels = labels
        self._num_classes = num_classes
        self._rows = rows
        self._views = views
        self._image_size = image_size
        self._batch_size = batch_size
        self._pixels = pixels
        self._buffers = buffers
        self._decoders = decoders

    def __len__(self) -> int:
        return -(-len(self._rows) // self._batch_size)

    def __getitem__(self, index: int) -> Batch:
        """Return a batch.

        Args:
            index: from 0 to `len(self) - 1`.

        Raises:
            SourceError: an image cannot be decoded.
        """
        some = slice(index * self._batch_size, (index + 1) * self._batch_size)
        rows = self._rows[some]
        shape = min(self._batch_size, len(self._rows)), self._image_size, self._image_size, 3
        x = self._buffers.empty(shape, self._pixels)[: len(rows)]
        self._decoders.decode(self._read(rows), self._views[some].tolist(), x)
        return x, one_hot(self._labels.take(rows), self._num_classes)


class Decoders:
    """Threads that decode the images of a batch together, with the thread that asks for it.

    A batch for each thread would be as fast where cores are all there is to share. But one of 32
    float32 images of 224 x 224 pixels takes 18 MiB, and as many would be there as threads.

    Args:
        num_helpers: threads beside those that ask, at least 0.
    """

    def __init__(self, num_helpers: int) -> None:
        self._helpers = num_helpers
        self._pool = ThreadPoolExecutor(max(num_helpers, 1), thread_name_prefix="decode")

    def decode(
        self, encoded: Iterable[Encoded], views: Iterable[View], out: npt.NDArray[Any]
    ) -> None:
        """Decode images; float32 ones are scaled as `scale_pixels` does.

        Args:
            encoded: as many as there is room for.
            views: which part of each.
            out: where to write them, uint8 or float32 `(n, image_size, image_size, 3)`.

        Raises:
            SourceError: an image cannot be decoded.
        """
        images: Sequence[_Image] = list(zip(encoded, views, out, strict=True))
        waiting = iter(images)  # of a list: taking from it is one step, whichever thread does
        helpers = [self._pool.submit(_decode, waiting) for _ in range(self._helpers)]
        try:
            _decode(waiting)
        finally:
            for helper in helpers:
                if not helper.cancel():  # one that has begun has an image
                    helper.result()

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()


def _decode(images: Iterator[_Image]) -> None:
    for encoded, view, out in images:
        decode(encoded, out.shape[0], out=out, view=view)
        if out.dtype == np.float32:
            out /= np.float32(255)  # while it is in the core's cache
