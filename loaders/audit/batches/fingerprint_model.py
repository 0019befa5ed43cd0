"""A model that keeps fingerprints of its batches on the device, and its pass.

Nothing is read back before `fit` has returned, so that steps, transfers and readers overlap as they
do in training. Imports Keras: `KERAS_BACKEND` must be set before.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from keras_loader_bench.loaders.audit.batches.fingerprint import (
    MIX,
    STRIDE,
    WORD_DTYPES,
    BatchPrint,
    form,
)
from keras_loader_bench.loaders.audit.batches.recording import TrainsOnOutputs
from keras_loader_bench.loaders.audit.inputs.arrays import FIELDS


class FingerprintMetric(keras.metrics.Metric):
    """Keeps the fingerprint and the number of samples of every batch of an epoch.

    Args:
        most_batches: how many are kept; of batches beyond, only their number.
    """

    def __init__(self, most_batches: int) -> None:
        super().__init__(name="batches", dtype="int32")
        # `int` is int64 on TensorFlow, which keeps int32 variables off a GPU, where XLA needs them.
        self.count = self.add_variable(shape=(), initializer="zeros", name="count", dtype="int")
        self.kept = self.add_variable(
            shape=(most_batches, 2), initializer="zeros", name="kept", dtype="int"
        )

    def update_state(self, batch: Any, num_samples: Any) -> None:
        """Keep the fingerprint of one batch."""
        ops = keras.ops
        here = ops.equal(ops.arange(self.kept.shape[0], dtype=self.count.dtype), self.count.value)
        new = ops.stack([ops.cast(part, self.kept.dtype) for part in (batch, num_samples)])
        self.kept.assign(ops.where(here[:, None], new, self.kept.value))
        self.count.assign_add(1)

    def result(self) -> Any:
        """Return the number of batches since the epoch began."""
        return self.count + 0  # a tensor of its own: the variable changes before logs are read

    def read(self) -> list[BatchPrint]:
        """Wait for the device and return what the last epoch has left."""
        count = int(keras.ops.convert_to_numpy(self.count))
        kept = keras.ops.convert_to_numpy(self.kept)[:count]
        prints = [BatchPrint(int(batch) % 2**32, int(samples)) for batch, samples in kept]
        return prints + [BatchPrint(0, 0)] * (count - len(kept))


class KeepsBatches(TrainsOnOutputs, keras.Model):
    """Calls `keep` within the compiled step that trains."""

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Keep the batch; the loss does not matter."""
        self.keep(named_arrays((x, y, sample_weight)), training=training)
        return super().compute_loss(y_pred=y_pred)

    def keep(self, batch: Mapping[str, Any], *, training: bool) -> None:
        """Keep what a step was given.

        Args:
            batch: its arrays by name.
            training: whether it trains on them.
        """
        raise NotImplementedError


class FingerprintModel(KeepsBatches):
    """Trains on its batches, and takes the fingerprint of each in the same compiled step.

    Args:
        most_batches: of an epoch.
    """

    def __init__(self, most_batches: int) -> None:
        super().__init__()
        self.fingerprints = FingerprintMetric(most_batches)
        self.dense = keras.layers.Dense(1)

    def call(self, x: Any) -> Any:
        """Return one number per sample."""
        flat = _flat(keras.tree.flatten(x)[0])
        return self.dense(keras.ops.cast(flat[:, :10], "float32"))

    def keep(self, batch: Mapping[str, Any], *, training: bool) -> None:
        """Take the fingerprint of the batch."""
        self.fingerprints.update_state(*_fingerprint(batch))


def named_arrays(parts: Any) -> dict[str, Any]:
    """Return the arrays of a batch by name, in a fixed order.

    Args:
        parts: `(x, y, sample_weight)`, each an array, a structure of arrays or `None`.
    """
    return {
        "/".join([name, *map(str, path)]): leaf
        for name, part in zip(FIELDS, parts, strict=True)
        if part is not None
        for path, leaf in keras.tree.flatten_with_path(part)
    }


def fingerprint_fit(
    fit_args: Mapping[str, Any],
    *,
    most_batches: int,
    callbacks: Sequence[Any] = (),
    **compile_options: Any,
) -> list[BatchPrint]:
    """Fit a fresh model for one epoch without ever waiting for it.

    Args:
        fit_args: the arguments of `fit` that say what it trains on.
        most_batches: how many fingerprints are kept.
        callbacks: of `fit`; none may wait for a batch.
        compile_options: `jit_compile` and `steps_per_execution` of the rounds.

    Returns:
        One of each batch, in the order of the steps.
    """
    model = FingerprintModel(most_batches)
    model.compile(optimizer="sgd", **compile_options)
    model.fit(**fit_args, shuffle=False, epochs=1, verbose=0, callbacks=list(callbacks))
    return model.fingerprints.read()


# What follows is `fingerprint.fingerprint` in operations that every backend compiles.
# Words are int32, because torch computes little with uint32; sums and products wrap alike.


def _fingerprint(batch: Mapping[str, Any]) -> tuple[Any, Any]:
    """Return the fingerprint of a batch and its number of samples."""
    samples = sample_prints(batch)
    count = keras.ops.shape(samples)[0]
    return keras.ops.sum(samples * _weights(-1, count)), count


def sample_prints(batch: Mapping[str, Any]) -> Any:
    """Return the fingerprint of each sample of a batch, int32 of shape `(n,)`."""
    samples, arrays = form_and_words(batch)
    for number, array in enumerate(arrays):
        words = _mix(array)
        samples = samples + keras.ops.sum(words * _weights(number, words.shape[1]), axis=1)
    return _mix(samples)


def form_and_words(batch: Mapping[str, Any]) -> tuple[Any, list[Any]]:
    """Return what dtypes and shapes add to each sample, and the words of each array.

    Words are int32 of shape `(n, positions)`.
    """
    arrays = {name: keras.ops.convert_to_tensor(array) for name, array in batch.items()}
    specs = {
        name: f"{keras.backend.standardize_dtype(array.dtype)} {tuple(array.shape[1:])}"
        for name, array in arrays.items()
    }
    return _signed(form(specs)), [_words(_flat(array)) for array in arrays.values()]


def _flat(array: Any) -> Any:
    """Return an array of shape `(n, positions)`; TensorFlow may not know `n`."""
    return keras.ops.reshape(array, (keras.ops.shape(array)[0], math.prod(array.shape[1:])))


def _words(array: Any) -> Any:
    if keras.backend.standardize_dtype(array.dtype) in WORD_DTYPES:
        return keras.ops.cast(array, "int32")
    return keras.ops.view(keras.ops.cast(array, "float32"), "int32")


def _mix(words: Any) -> Any:
    first, factor, second, other_factor, third = MIX
    words = _signed(factor) * (words ^ shifted(words, first))
    words = _signed(other_factor) * (words ^ shifted(words, second))
    return words ^ shifted(words, third)


def shifted(words: Any, bits: int) -> Any:
    """Shift to the right, with zeros from the left: of int32 the sign would come."""
    return keras.ops.right_shift(words, bits) & (2 ** (32 - bits) - 1)


def _weights(number: int, count: Any) -> Any:
    positions = keras.ops.arange(count, dtype="int32") + _signed(number * STRIDE % 2**32)
    return _mix(positions) | 1


def _signed(word: int) -> int:
    return word - 2**32 if word >= 2**31 else word
