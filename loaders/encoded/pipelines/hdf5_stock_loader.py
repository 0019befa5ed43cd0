"""HDF5 as people write it: one handle, and one read and one call of Pillow for every row.

Must not know: how rows are ordered.
"""

from __future__ import annotations

import io
from typing import Any

import h5py
import keras
import numpy as np
import numpy.typing as npt

from keras_loader_bench.loaders.contract import Batch, LoaderOptions, Rows, batch_of
from keras_loader_bench.loaders.encoded.containers.container import prepare_container
from keras_loader_bench.loaders.encoded.containers.hdf5 import FILE, IMAGES, LABELS
from keras_loader_bench.loaders.encoded.contract import ImageLoader, ImageOptions
from keras_loader_bench.loaders.encoded.encoded_source import EncodedSource
from keras_loader_bench.loaders.encoded.pipelines.image_files import by_pillow
from keras_loader_bench.loaders.encoded.views import View, Views


class Hdf5Sequence(keras.utils.PyDataset):
    """Reads and decodes the rows of a batch one by one.

    Args:
        file: an open `h5py.File`.
        rows: the rows to deliver, in this order.
        views: which part of each image.
        source: says what the images are to become.
        options: batch size and the form of the pixels.
    """

    def __init__(
        self, file: Any, rows: Rows, views: Views, source: EncodedSource, options: LoaderOptions
    ) -> None:
        super().__init__()
        self.images, self.labels = file[IMAGES], file[LABELS]
        self.rows, self.views, self.source, self.options = rows, views, source, options

    def __len__(self) -> int:
        return -(-len(self.rows) // self.options.batch_size)

    def __getitem__(self, index: int) -> Batch:
        size = self.options.batch_size
        some = slice(index * size, (index + 1) * size)
        rows, views = self.rows[some], self.views[some]
        images = np.stack([self._image(*each) for each in zip(rows, views, strict=True)])
        labels = np.array([self.labels[row] for row in rows])
        return batch_of(images, labels, self.source.num_classes, self.options.pixels)

    def _image(self, row: int, view: View) -> npt.NDArray[np.uint8]:
        return by_pillow(io.BytesIO(self.images[row].tobytes()), self.source.image_size, view)


class Hdf5StockLoader(ImageLoader):
    """A new `Hdf5Sequence` for every `fit`, over one open file.

    It has no workers, `num_workers` changes nothing: HDF5 lets one thread in at a time.
    """

    def __init__(self, source: EncodedSource, options: ImageOptions) -> None:
        super().__init__(source, options)
        self._file = h5py.File(prepare_container(source, "hdf5").data / FILE, "r")

    def fit_args(self, rows: Rows) -> dict[str, Any]:
        """Return `x`: the `Hdf5Sequence`."""
        return {"x": Hdf5Sequence(self._file, rows, self.views(rows), self.source, self.options)}

    def close(self) -> None:
        """Close the file."""
        self._file.close()
