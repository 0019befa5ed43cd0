"""A Sequence as tutorials write it: the split in memory, a slice and a division per batch.

It stands here to be compared with: this is what most people's first Sequence looks like.
Must not know: how rows are ordered.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import numpy.typing as npt

from keras_loader_bench.loaders.contract import Batch, Loader, LoaderOptions, Pixels, Rows
from keras_loader_bench.loaders.sources.image_source import ImageSource


class EagerSequence(keras.utils.PyDataset):
    """Batches of arrays that lie in memory.

    Args:
        images: uint8 `(n, 32, 32, 3)`.
        targets: float64 one-hot `(n, 10)`, as `keras.utils.to_categorical` makes them.
        rows: the rows to deliver, in this order.
        batch_size: samples a batch.
        pixels: `float32` or `uint8`.
    """

    def __init__(
        self,
        images: npt.NDArray[np.uint8],
        targets: npt.NDArray[np.float64],
        rows: Rows,
        *,
        batch_size: int,
        pixels: Pixels,
    ) -> None:
        super().__init__()
        self.images = images
        self.targets = targets
        self.rows = rows
        self.batch_size = batch_size
        self.pixels = pixels

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def __getitem__(self, index: int) -> Batch:
        rows = self.rows[index * self.batch_size : (index + 1) * self.batch_size]
        x: npt.NDArray[Any] = self.images[rows]
        if self.pixels == "float32":
            # As in the tutorials this division gives float64. The contract asks for float32, and
            # Keras would hand the model float64 tensors: hence the extra copy.
            x = (x / 255.0).astype(np.float32)
        return x, self.targets[rows].astype(np.float32)


class EagerSequenceLoader(Loader):
    """Reads the whole split (3,072 bytes per sample) when it is made.

    It has no workers: `num_workers` changes nothing.
    """

    def __init__(self, source: ImageSource, options: LoaderOptions) -> None:
        super().__init__(source, options)
        self._sequence = EagerSequence(
            np.array(source.images),
            keras.utils.to_categorical(source.labels, source.num_classes),
            np.arange(0),
            batch_size=options.batch_size,
            pixels=options.pixels,
        )

    def fit_args(self, rows: Rows) -> dict[str, Any]:
        """Return `x`: the `EagerSequence`, which delivers the given rows from now on."""
        self._sequence.rows = rows
        return {"x": self._sequence}

    def close(self) -> None:
        """Let go of the arrays."""
        del self._sequence.images, self._sequence.targets
