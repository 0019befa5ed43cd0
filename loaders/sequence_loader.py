"""The bridge of a lazy Sequence: what a training script gets from `bridge(CIFAR10Sequence(...))`.

Must not know: how rows are ordered.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from keras_loader_bench.loaders.bridges.py_dataset_bridge import bridge
from keras_loader_bench.loaders.contract import Loader, LoaderOptions, Rows
from keras_loader_bench.loaders.sequence.lazy_sequence import LazySequence
from keras_loader_bench.loaders.sources.image_source import ImageSource


class SequenceLoader(Loader):
    """Gathers each batch from the memory-mapped source, one epoch at a time.

    What `fit` is given is the `bridge` of a `LazySequence`. `num_workers` is the number of threads
    that read ahead, at most `prefetch_batches` batches; without workers there is one while steps
    leave it time. On TensorFlow it is the number of batches that the graph makes in parallel;
    without workers, one for two cores.
    """

    def __init__(self, source: ImageSource, options: LoaderOptions) -> None:
        super().__init__(source, options)
        self._sequence = LazySequence(
            source,
            np.arange(0, dtype=np.int32),
            batch_size=options.batch_size,
            pixels=options.pixels,
            num_workers=options.num_workers or None,
            prefetch_batches=options.prefetch_batches,
        )

    def fit_args(self, rows: Rows) -> dict[str, Any]:
        """Return `x`, which delivers the given rows from now on, and how many steps that are."""
        self._sequence.rows = rows
        args = {"x": bridge(self._sequence)}
        if keras.backend.backend() == "tensorflow":
            # Told how many, Keras iterates over the dataset once an epoch; else it begins to twice.
            args["steps_per_epoch"] = len(self._sequence)
        return args

    def close(self) -> None:
        """End the threads and let go of the rows."""
        self._sequence.close()
        del self._sequence
