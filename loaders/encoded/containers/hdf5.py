"""The container `hdf5`: one file with `images`, uint8 of variable length, and `labels`, int64.

https://docs.h5py.org/en/stable/special.html#arbitrary-vlen-data
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

import h5py
import numpy as np

from keras_loader_bench.loaders.encoded.encoded_source import EncodedSource

FILE, IMAGES, LABELS = "images.h5", "images", "labels"


def write(source: EncodedSource, folder: Path) -> None:
    """Write `images.h5`."""
    with h5py.File(folder / FILE, "w") as file:
        shape = (source.num_samples,)
        images = file.create_dataset(IMAGES, shape, dtype=h5py.vlen_dtype(np.uint8))
        for row in range(source.num_samples):
            images[row] = np.frombuffer(source.encoded(row), np.uint8)
        file.create_dataset(LABELS, data=source.labels.astype(np.int64))


class Records:
    """Reads a row from the file, which stays open; HDF5 lets one thread in at a time.

    Args:
        folder: what `write` has filled.
    """

    def __init__(self, folder: Path) -> None:
        self._file = h5py.File(folder / FILE, "r")
        self._images, self._labels = self._file[IMAGES], self._file[LABELS]

    def __getitem__(self, row: int) -> tuple[bytes, int]:
        """Return the encoded image and the label of a row."""
        return self._images[row].tobytes(), int(self._labels[row])

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
