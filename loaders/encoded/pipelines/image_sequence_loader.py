"""The bridge of an `ImageSequence` over the source's own file: this suite's way.

Must not know: how rows are ordered.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from keras_loader_bench.loaders.contract import Rows
from keras_loader_bench.loaders.encoded.contract import ImageLoader
from keras_loader_bench.loaders.encoded.decoding import Encoded
from keras_loader_bench.loaders.encoded.image_sequence import ImageSequence, bridged


class ImageSequenceLoader(ImageLoader):
    """Decodes from the mapped `encoded.bin`, with simplejpeg, which lets go of Python's lock.

    `num_workers` is the number of threads that decode the images of a batch together; without
    workers, one for each core. One of them reads a batch ahead; of more than two, two do.
    """

    _sequence: ImageSequence | None = None

    def fit_args(self, rows: Rows) -> dict[str, Any]:
        """Return `x`: the bridge of a new sequence; that of the call before is closed."""
        self.close()
        views = self.views(rows)
        self._sequence = ImageSequence(self.source, self._read, rows, views, self.options)
        return bridged(self._sequence, self.options)

    def _read(self, rows: Rows) -> Iterator[Encoded]:
        return map(self.source.encoded, rows.tolist())

    def close(self) -> None:
        """End the threads."""
        if self._sequence is not None:
            self._sequence.close()
            self._sequence = None
