"""The bridge of an `ImageSequence` over the source's own file: this suite's way.

Must not know: how rows are ordered.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from keras_loader_bench.loaders.contract import Rows
from keras_loader_bench.loaders.encoded.contract import ImageLoader, ImageOptions
from keras_loader_bench.loaders.encoded.decoding import Encoded
from keras_loader_bench.loaders.encoded.encoded_source import EncodedSource
from keras_loader_bench.loaders.encoded.image_sequence import (
    ImageSequence,
    KeptBuffers,
    bridged,
)


class ImageSequenceLoader(ImageLoader):
    """Decodes from the mapped `encoded.bin`, with simplejpeg, which lets go of Python's lock.

    `num_workers` is the number of threads that decode the images of a batch together; without
    workers, one for each core. One of them reads a batch ahead; of more than two, two do.
    """

    _sequence: ImageSequence | None = None

    def __init__(self, source: EncodedSource, options: ImageOptions) -> None:
        super().__init__(source, options)
        self._buffers = KeptBuffers()

    def fit_args(self, rows: Rows) -> dict[str, Any]:
        """Return `x`: the bridge of a new sequence; that of the call before is closed."""
        self._end()
        given = self.source, self._read, rows, self.views(rows), self.options, self._buffers
        self._sequence = ImageSequence(*given)
        return bridged(self._sequence, self.options)

    def _read(self, rows: Rows) -> Iterator[Encoded]:
        return map(self.source.encoded, rows.tolist())

    def _end(self) -> None:
        if self._sequence is not None:
            self._sequence.close()
            self._sequence = None

    def close(self) -> None:
        """End the threads and let go of the buffers."""
        self._end()
        self._buffers = KeptBuffers()
