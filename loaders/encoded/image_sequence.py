"""`ImageSequence`: a lazy `PyDataset` of encoded images, read ahead and decoded on threads.

Must not know: how rows are ordered.
"""

from __future__ import annotations

from typing import Any

import keras

from keras_loader_bench.loaders.bridges.py_dataset_bridge import bridge
from keras_loader_bench.loaders.bridges.read_ahead import ReadAhead
from keras_loader_bench.loaders.contract import Batch, LoaderOptions, Rows
from keras_loader_bench.loaders.encoded.batches import DecodedBatches, Decoders, ReadEncoded
from keras_loader_bench.loaders.encoded.encoded_source import EncodedSource
from keras_loader_bench.loaders.encoded.views import Views
from keras_loader_bench.loaders.sequence.buffers import BufferPool, Memory, new_memory
from keras_loader_bench.loaders.system.cores import usable_cores

FEW_THREADS = 2
"""So many work at one batch. More work at two, each of which is held: threads that find no image
left in the first one go on with the second. With decoders that sleep for 0.4 to 0.8 ms instead, 16
threads gave 17.1k images/s of batches of 64 and now 21.0k, eight 9.9k and 11.0k, two as many."""


class KeptBuffers:
    """The buffers of one sequence after another, so that not every epoch makes its own.

    What the C library frees in one thread it keeps for that thread: with buffers of its own, every
    epoch left up to two batches behind.
    """

    def __init__(self) -> None:
        self._pools: dict[Memory, BufferPool] = {}

    def pool(self, most: int, memory: Memory) -> BufferPool:
        """Return a `BufferPool(most, memory)`, the same for the same memory."""
        return self._pools.setdefault(memory, BufferPool(most, memory))


class ImageSequence(keras.utils.PyDataset):
    """Delivers given rows of encoded images and holds no image but those of a few batches.

    A thread, or two, reads a batch ahead; they and others decode its images together.
    Keras' own workers are not used: on JAX and torch they drop some batches.

    Args:
        source: the images' labels and sizes.
        read: reads the encoded images.
        rows: the rows to deliver, in this order.
        views: which part of each image.
        options: `num_workers` is the number of threads that decode; 0: one for each core.
        buffers: where batches get their memory from.
    """

    def __init__(
        self,
        source: EncodedSource,
        read: ReadEncoded,
        rows: Rows,
        views: Views,
        options: LoaderOptions,
        buffers: KeptBuffers,
    ) -> None:
        super().__init__()
        self._buffers = buffers
        self._source, self._read, self._options = source, read, options
        self._rows, self._views = rows, views
        threads = options.num_workers or usable_cores()
        self._readers = 1 if threads <= FEW_THREADS else 2
        self._decoders = Decoders(threads - self._readers)
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
            buffers=self._buffers.pool(self._readers + 3, memory),
            decoders=self._decoders,
        )
        self._batches = ReadAhead(
            batches.__getitem__,
            len(batches),
            num_workers=self._readers,
            prefetch_batches=self._readers,
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
