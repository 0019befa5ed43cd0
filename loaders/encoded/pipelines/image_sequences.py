"""What this suite's loaders that decode on threads of their own share."""

from __future__ import annotations

from typing import Any

from keras_loader_bench.loaders.contract import Rows
from keras_loader_bench.loaders.encoded.batches import ReadEncoded
from keras_loader_bench.loaders.encoded.contract import ImageOptions
from keras_loader_bench.loaders.encoded.encoded_source import EncodedSource
from keras_loader_bench.loaders.encoded.image_sequence import (
    ImageSequence,
    KeptBuffers,
    bridged,
)
from keras_loader_bench.loaders.encoded.views import Views


class ImageSequences:
    """One `ImageSequence` after another, over the same buffers.

    Args:
        source: the images' labels and sizes.
        read: reads the encoded images.
        options: see `ImageSequence`.
    """

    def __init__(self, source: EncodedSource, read: ReadEncoded, options: ImageOptions) -> None:
        self._given = source, read
        self._options = options
        self._sequence: ImageSequence | None = None
        self.buffers = KeptBuffers()

    def fit_args(self, rows: Rows, views: Views) -> dict[str, Any]:
        """Return `x`: the bridge of a new sequence; that of the call before is closed."""
        self._end()
        given = *self._given, rows, views, self._options, self.buffers
        self._sequence = ImageSequence(*given)
        return bridged(self._sequence, self._options)

    def _end(self) -> None:
        if self._sequence is not None:
            self._sequence.close()
            self._sequence = None

    def close(self) -> None:
        """End the threads and let go of the buffers."""
        self._end()
        self.buffers = KeptBuffers()
