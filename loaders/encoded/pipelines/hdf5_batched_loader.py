"""HDF5 as it should be read: a batch at once, its rows in the order of the file.

https://docs.h5py.org/en/stable/high/dataset.html#fancy-indexing: indices must ascend, and none
may come twice. Must not know: how rows are ordered.
"""

from __future__ import annotations

from typing import Any

import h5py
import numpy as np

from keras_loader_bench.loaders.contract import Rows
from keras_loader_bench.loaders.encoded.containers.container import prepare_container
from keras_loader_bench.loaders.encoded.containers.hdf5 import FILE, IMAGES
from keras_loader_bench.loaders.encoded.contract import ImageLoader, ImageOptions
from keras_loader_bench.loaders.encoded.decoding import Encoded
from keras_loader_bench.loaders.encoded.encoded_source import EncodedSource
from keras_loader_bench.loaders.encoded.pipelines.image_sequences import ImageSequences


class Hdf5BatchedLoader(ImageLoader):
    """Reads `images.h5` from one handle, ahead, and decodes on threads: an `ImageSequence`.

    `num_workers` is the number of threads that decode the images of a batch together; without
    workers, one for each core. HDF5 lets one of them read at a time.
    """

    def __init__(self, source: EncodedSource, options: ImageOptions) -> None:
        super().__init__(source, options)
        self._sequences = ImageSequences(source, self._read, options)
        self._file = h5py.File(prepare_container(source, "hdf5").data / FILE, "r")
        self._images = self._file[IMAGES]

    def fit_args(self, rows: Rows) -> dict[str, Any]:
        """Return `x`: the bridge of a new sequence; that of the call before is closed."""
        return self._sequences.fit_args(rows, self.views(rows))

    def _read(self, rows: Rows) -> list[Encoded]:
        ascending, places = np.unique(rows, return_inverse=True)
        images = self._images[ascending]
        return [images[place].data for place in places]

    def close(self) -> None:
        """End the threads, let go of the buffers and close the file."""
        self._sequences.close()
        self._file.close()
