"""`ImageSequence`: a lazy `PyDataset` of encoded images, read ahead and decoded on threads.

Must not know: how rows are ordered.
"""

from __future__ import annotations

from typing import Any

import keras

from keras_loader_bench.loaders.bridges.py_dataset_bridge import bridge
from keras_loader_bench.loaders.bridges.read_ahead import ReadAhead, most_ahead
from keras_loader_bench.loaders.contract import Batch, LoaderOptions, Rows
from keras_loader_bench.loaders.encoded.batches import DecodedBatches, Decoders, ReadEncoded
from keras_loader_bench.loaders.encoded.encoded_source import EncodedSource
from keras_loader_bench.loaders.encoded.views import Views
from keras_loader_bench.loaders.sequence.buffers import BufferPool, Memory, new_memory
from keras_loader_bench.loaders.system.cores import usable_cores

_AHEAD = 1
"""Batches that are read ahead: all threads work at the next one. With two, rates were the same on
JAX, and footprints of float32 images of 224 pixels up to 37 MiB larger."""


class ImageSequence(keras.utils.PyDataset):
    """Delivers given rows of encoded images and holds no image but those of a few batches.

    One thread reads a batch ahead; it and others decode the images of one batch
    together. Keras' own workers are not used: on JAX and torch they drop some batches.

    Args:
        source: the images' labels and sizes.
        read: reads the encoded images.
        rows: the rows to deliver, in this order.
        views: which part of each image.
        options: `num_workers` is the number of threads that decode a batch; 0: one for each core.
    """

    def __init__(
        self,
        source: EncodedSource,
        read: ReadEncoded,
        rows: Rows,
        views: Views,
        options: LoaderOptions,
    ) -> None:
        super().__init__()
        self._source, self._read, self._options = source, read, options
        self._rows, self._views = rows, views
        self._decoders = Decoders(options.num_workers or usable_cores())
        self._ahead = most_ahead(1, min(options.prefetch_batches, _AHEAD))
        self.use_memory(new_memory)

    def use_memory(self, memory: Memory) -> None:
        """Let batches lie in memory of another kind; before the first one is asked for."""
        batches = DecodedBatches(
            self._read,
            self._source.labels,
            self._source.num_classes,
            self._rows,
            self._views,
            image_size=self._source.image_size,
            batch_size=self._options.batch_size,
            pixels=self._options.pixels,
            # Beside those ahead, the one that is asked for, the one before, and one held longer.
            buffers=BufferPool(self._ahead + 3, memory),
            decoders=self._decoders,
        )
        self._batches = ReadAhead(
            batches.__getitem__, len(batches), num_workers=1, prefetch_batches=self._ahead
        )

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> Batch:
        batch: Batch = self._batches[index]
        return batch

    def on_epoch_end(self) -> None:
        """Drop what was read ahead: where Keras shuffles, no batch is known to be the last."""
        self._batches.end_run()

    def close(self) -> None:
        """End the threads."""
        self._batches.close()
        self._decoders.close()


def bridged(sequence: ImageSequence, options: LoaderOptions) -> dict[str, Any]:
    """Return the arguments of `fit` that train on the sequence by its `bridge`."""
    if keras.backend.backend() != "tensorflow":
        return {"x": bridge(sequence)}
    import tensorflow as tf

    source = sequence._source
    signature = (
        # Said here, or three batches would be decoded to find it out.
        tf.TensorSpec((None, *source.sample_shape), options.pixels),
        tf.TensorSpec((None, source.num_classes), "float32"),
    )
    # Told how many, Keras iterates over the dataset once an epoch; else it begins to twice.
    x = bridge(sequence, output_signature=signature)
    return {"x": x, "steps_per_epoch": len(sequence)}
