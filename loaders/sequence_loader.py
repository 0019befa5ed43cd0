"""The lazy Sequence: batches are gathered from the memory map when they are asked for.

Owns: `LazySequence`, the Keras side of it. Must not know: how rows are ordered.
"""

from __future__ import annotations

from typing import Any, ClassVar

import keras
import numpy as np

from loaders.contract import Batch, Loader, LoaderOptions, Pixels, Rows, make_batch
from loaders.source import ImageSource


class LazySequence(keras.utils.PyDataset):
    """Delivers given rows of a source and holds none of its images.

    `sequence[i]` depends on nothing but `i` and the rows, so that it may be called from any thread,
    in any order and any number of times. Its pickle holds the path of the source and the rows, no
    image and no open file.

    Args:
        source: the stored images.
        rows: the rows to deliver, in this order, shape `(n,)`.
        batch_size: samples in every batch but the last, which may be smaller.
        pixels: `float32` or `uint8`.
    """

    def __init__(
        self, source: ImageSource, rows: Rows, *, batch_size: int, pixels: Pixels = "float32"
    ) -> None:
        super().__init__()
        self.source = source
        self.rows = rows
        self.batch_size = batch_size
        self.pixels = pixels

    def __len__(self) -> int:
        return -(-len(self.rows) // self.batch_size)

    def __getitem__(self, index: int) -> Batch:
        """Return batch `index`; negative indices count from the end, as in a list.

        Raises:
            IndexError: there is no such batch.
        """
        rows = self.rows  # read once: another thread may begin a new order
        num_batches = LazySequence.__len__(self)
        if not -num_batches <= index < num_batches:
            raise IndexError(f"Batch {index} does not exist: there are {num_batches}.")
        start = index % num_batches * self.batch_size
        return make_batch(self.source, rows[start : start + self.batch_size], self.pixels)


class SequenceLoader(Loader):
    """Gathers each batch from the memory-mapped source on the thread that asks for it.

    Keras is told nothing of workers: on JAX and torch its own drop batches.
    """

    dependencies: ClassVar[tuple[str, ...]] = ()

    def __init__(self, source: ImageSource, options: LoaderOptions) -> None:
        super().__init__(source, options)
        # One for all calls: on TensorFlow, Keras never lets go of a sequence that was fitted.
        self._sequence = LazySequence(
            source, np.arange(0), batch_size=options.batch_size, pixels=options.pixels
        )

    def fit_args(self, rows: Rows) -> dict[str, Any]:
        """Return `x`: the `LazySequence`, which delivers the given rows from now on."""
        self._sequence.rows = rows
        return {"x": self._sequence}

    def close(self) -> None:
        """Let go of the rows."""
        del self._sequence
