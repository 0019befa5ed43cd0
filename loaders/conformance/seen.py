"""Models that keep which samples their compiled steps were given.

Imports Keras: `KERAS_BACKEND` must be set before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from keras_loader_bench.loaders.audit.batches.fingerprint import weights
from keras_loader_bench.loaders.audit.batches.fingerprint_model import (
    KeepsBatches,
    form_and_words,
    named_arrays,
    shifted,
)


def sample_checksums(batch: Mapping[str, Any]) -> Any:
    """Return a number for each sample, int32 of shape `(n,)`.

    It changes with any single value, dtype or shape; of several values that change at once, one can
    make up for another. A fingerprint makes that as good as impossible, but takes three times as
    many operations, and to compile these took most of the time of a pass.

    Args:
        batch: its arrays by name.
    """
    ops = keras.ops
    checksums, arrays = form_and_words(batch)
    for number, array in enumerate(arrays):
        words = array ^ shifted(array, 16)  # the lower half of most floats is 0
        # Odd numbers, modulo 2**32.
        factors = weights(number, words.shape[1]).astype("int32")
        checksums = checksums + ops.sum(words * ops.convert_to_tensor(factors), axis=1)
    return checksums


class SeenSamples(keras.metrics.Metric):
    """Keeps the checksums of the samples of every batch, and whether it was trained on.

    Args:
        most_batches: how many are kept; of batches beyond, only their number.
        most_samples: of a batch.
    """

    def __init__(self, most_batches: int, most_samples: int) -> None:
        super().__init__(name="seen", dtype="int32")
        shape = (most_batches, most_samples + 2)
        self.count = self.add_variable(shape=(), initializer="zeros", name="count", dtype="int")
        self.kept = self.add_variable(shape=shape, initializer="zeros", name="kept", dtype="int")

    def update_state(self, checksums: Any, training: bool) -> None:
        """Keep those of one batch."""
        ops = keras.ops
        width = self.kept.shape[1] - 2
        dtype = self.kept.dtype
        about = ops.stack(
            [ops.cast(ops.shape(checksums)[0], dtype), ops.cast(int(training), dtype)]
        )
        padded = ops.concatenate([ops.cast(checksums, dtype), ops.zeros((width,), dtype)])[:width]
        here = ops.equal(ops.arange(self.kept.shape[0], dtype=self.count.dtype), self.count.value)
        row = ops.concatenate([about, padded])
        self.kept.assign(ops.where(here[:, None], row, self.kept.value))
        self.count.assign_add(1)

    def result(self) -> Any:
        """Return the number of batches."""
        return self.count + 0

    def reset_state(self) -> None:
        """Keep all: epochs are told apart by their callbacks."""

    def clear(self) -> None:
        """Begin anew."""
        self.kept.assign(keras.ops.zeros(self.kept.shape, dtype="int32"))
        self.count.assign(0)

    def read(self, *, training: bool) -> list[list[int]]:
        """Return the checksums of the samples of all batches of training, or of evaluation."""
        count = int(keras.ops.convert_to_numpy(self.count))
        kept = keras.ops.convert_to_numpy(self.kept)[:count].tolist()
        # Where TensorFlow finds the end of the data in a step, that one counts and keeps nothing.
        batches = [row[2 : 2 + row[0]] for row in kept if row[0] and bool(row[1]) is training]
        return batches + [[0]] * (count - len(kept))


class SeenModel(KeepsBatches):
    """Trains on its batches, and keeps which samples they had in the same compiled step."""

    def __init__(self, most_batches: int, most_samples: int) -> None:
        super().__init__()
        self.seen = SeenSamples(most_batches, most_samples)
        self.dense = keras.layers.Dense(1)

    def call(self, x: Any) -> Any:
        """Return one number per sample."""
        first = keras.tree.flatten(x)[0]
        ones = keras.ops.ones((keras.ops.shape(first)[0], 1))
        return self.dense(ones)

    def keep(self, batch: Mapping[str, Any], *, training: bool) -> None:
        """Keep the samples of the batch."""
        self.seen.update_state(sample_checksums(batch), training)


class PrintModel(keras.Model):
    """Predicts the checksum of each sample."""

    def call(self, x: Any) -> Any:
        """Return the checksums."""
        return sample_checksums(named_arrays((x, None, None)))
