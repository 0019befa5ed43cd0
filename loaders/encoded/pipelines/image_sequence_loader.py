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
from keras_loader_bench.loaders.encoded.pipelines.image_sequences import ImageSequences


class ImageSequenceLoader(ImageLoader):
    """Decodes from the mapped `encoded.bin`, with simplejpeg, which lets go of Python's lock.

    `num_workers` is the number of threads that decode the images of a batch together; without
    workers, one for each core. One of them reads a batch ahead; of more than two, two do.
    """

    def __init__(self, source: EncodedSource, options: ImageOptions) -> None:
        super().__init__(source, options)
        self._sequences = ImageSequences(source, self._read, options)

    def fit_args(self, rows: Rows) -> dict[str, Any]:
        """Return `x`: the bridge of a new sequence; that of the call before is closed."""
        return self._sequences.fit_args(rows, self.views(rows))

    def _read(self, rows: Rows) -> Iterator[Encoded]:
        return map(self.source.encoded, rows.tolist())

    def close(self) -> None:
        """End the threads and let go of the buffers."""
        self._sequences.close()
