"""The models that rounds fit, and the call of `fit`. For the process of a case only.

A new model is one function here, one line in `MODELS`, and its name in `bench.plan.options`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import keras
import numpy as np

from keras_loader_bench.bench.child.backends import current
from keras_loader_bench.loaders import ScalePixels
from keras_loader_bench.loaders.contract import Loader, Pixels, Rows, Source

CNN_PARAMETERS = 550_570
"""Weights of `cnn` for CIFAR-10: 287,008 in six convolutions, 262,272 and 1,290 in two dense
layers."""


@dataclass(frozen=True, kw_only=True)
class Samples:
    """What a model is made for."""

    shape: tuple[int, ...]
    """Of one image: height, width, channels."""

    num_classes: int
    pixels: Pixels
    """The form in which images come."""

    together: bool = False
    """Whether the model averages its gradients with those of other ranks."""

    part: int | None = None
    """Height and width of what the model's first layers cut from images, after they may have
    flipped them, in pixels; `None`: it has no such layers."""

    @classmethod
    def of(cls, source: Source, pixels: Pixels, **more: Any) -> Self:
        """Return what the samples of a source are."""
        classes = source.num_classes
        return cls(shape=source.sample_shape, num_classes=classes, pixels=pixels, **more)


class SampleCounter(keras.metrics.Metric):
    """Counts the samples that reached the model, inside its graph."""

    def __init__(self) -> None:
        super().__init__(name="samples", dtype="int32")
        # `int` is int64 on TensorFlow, which keeps int32 variables off a GPU, where XLA needs them.
        self.count = self.add_variable(shape=(), initializer="zeros", name="count", dtype="int")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add the length of one batch."""
        self.count.assign_add(keras.ops.shape(y_true)[0])

    def result(self) -> Any:
        """Return the number of samples since the epoch began."""
        return self.count + 0  # a tensor of its own: the variable changes before logs are read


def fit(
    model: Any,
    loader: Loader[Any],
    rows: Rows,
    callbacks: Sequence[Any] = (),
    *,
    epochs: int = 1,
    ranks: int = 1,
) -> int:
    """Train on the given rows, in each epoch the same: the only training call of this suite.

    Args:
        model: counts its samples, see `SampleCounter`.
        loader: delivers the rows.
        rows: those of this process.
        callbacks: of `fit`.
        epochs: of `fit`.
        ranks: of how many processes with as many rows the model counts the samples.

    Returns:
        How many samples of these rows the model saw in all epochs.

    Raises:
        RuntimeError: that is not how many the rows are.
    """
    history = model.fit(
        **loader.fit_args(rows), shuffle=False, epochs=epochs, verbose=0, callbacks=list(callbacks)
    )
    seen, expected = int(sum(history.history["samples"])), epochs * len(rows) * ranks
    if seen != expected and not model.stop_training:  # a callback may end it early
        raise RuntimeError(f"The model saw {seen} samples; the loader was to deliver {expected}.")
    return seen // ranks


def weights_digest(model: Any) -> str:
    """Return the SHA-256 of all weights of a model, without those of its optimizer."""
    digest = hashlib.sha256()
    for weight in model.get_weights():
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()


class NullModel(keras.Model):
    """Takes its batch, counts the samples and learns nothing: what is left is the loader."""

    def __init__(self) -> None:
        super().__init__()
        self.counter = SampleCounter()

    def call(self, x: Any) -> Any:
        """Return one value of every sample: Keras wants to see the shape of an output."""
        return keras.ops.zeros((keras.ops.shape(keras.tree.flatten(x)[0])[0], 1))

    def train_step(self, *args: Any) -> Any:
        """Count one batch, in the form that the backend's trainer has for a step."""
        return current().null_step(self, self._count, args)

    def _count(self, batch: Any) -> dict[str, Any]:
        x, y, _ = keras.utils.unpack_x_y_sample_weight(batch)
        labels = x if y is None else y
        # Most are one array. On torch this runs in every step.
        first = labels if hasattr(labels, "shape") else keras.tree.flatten(labels)[0]
        self.counter.update_state(first, None)
        return {"samples": self.counter.result()}


def null(samples: Samples, **compile_options: Any) -> Any:
    """Return a model whose step costs next to nothing."""
    model = NullModel()
    model.compile(**compile_options)
    return model


def cnn(samples: Samples, **compile_options: Any) -> Any:
    """Return the CNN that training rates are measured with.

    Six 3x3 convolutions (32, 32, 64, 64, 128, 128; same padding, ReLU) with 2x2 max pooling after
    each pair, Dense 128 ReLU, Dense softmax; Adam at 1e-3, categorical cross-entropy, accuracy.
    Larger images than those of CIFAR-10 are averaged first, see `cnn_layers`.
    """
    side = min(samples.shape[:2]) if len(samples.shape) == 3 else 0
    side = samples.part or side
    return _classifier(cnn_layers(side), samples, compile_options)


_SIDE = 32
"""Of the images that `cnn` is made for, in pixels."""


def cnn_layers(side: int = 0) -> list[Any]:
    """Return the layers of `cnn` between its input and its softmax.

    Args:
        side: height or width of its images. Those of 64 pixels or more are averaged to about 32
            first: at 224 a step would take 49 times as long, and hide every loader of a small CPU.
    """
    layers: list[Any] = []
    if side >= 2 * _SIDE:
        layers.append(keras.layers.AveragePooling2D(side // _SIDE))
    for filters in (32, 64, 128):
        for _ in range(2):
            layers.append(keras.layers.Conv2D(filters, 3, padding="same", activation="relu"))
        layers.append(keras.layers.MaxPooling2D(2))
    return [*layers, keras.layers.Flatten(), keras.layers.Dense(128, activation="relu")]


def augmentation(part: int | None) -> list[Any]:
    """Return the layers that augment as loaders do: Keras' own, seeded by `set_random_seed`.

    `RandomFlip` decides for each image, `RandomCrop` once for all images of a batch.

    Args:
        part: see `Samples`; `None`: there are no such layers.
    """
    if part is None:
        return []
    return [keras.layers.RandomFlip("horizontal"), keras.layers.RandomCrop(part, part)]


def mlp(samples: Samples, **compile_options: Any) -> Any:
    """Return a dense network, with a fiftieth of the multiplications of `cnn` per CIFAR-10 sample.

    Flatten, Dense 256 ReLU, Dense softmax; optimizer, loss and metrics as those of `cnn`.
    """
    layers = [keras.layers.Flatten(), keras.layers.Dense(256, activation="relu")]
    return _classifier(layers, samples, compile_options)


def _classifier(layers: Sequence[Any], samples: Samples, compile_options: Mapping[str, Any]) -> Any:
    """Return a compiled classifier with these layers between its input and its softmax."""
    model = keras.Sequential([keras.Input(samples.shape, dtype=samples.pixels)])
    if samples.pixels == "uint8":
        model.add(ScalePixels())
    for layer in [*augmentation(samples.part), *layers]:
        model.add(layer)
    # A softmax in half precision would not add up to 1.
    model.add(keras.layers.Dense(samples.num_classes, activation="softmax", dtype="float32"))
    if samples.together:
        model = current().together(model)
    model.compile(
        optimizer=keras.optimizers.Adam(1e-3),
        loss="categorical_crossentropy",
        metrics=["accuracy", SampleCounter()],
        **compile_options,
    )
    return model


MODELS: dict[str, Callable[..., Any]] = {"cnn": cnn, "mlp": mlp, "null": null}
"""Name of a model -> the function that makes it for samples of one form and compiles it with the
options that are given."""


JIT_COMPILE: dict[str, bool | str] = {"auto": "auto", "on": True, "off": False}
"""A case's `jit_compile` -> what `keras.Model.compile` takes."""


def make_model(
    name: str, samples: Samples, *, precision: str, jit_compile: str, steps_per_execution: int
) -> Any:
    """Return a model, compiled.

    Args:
        name: a key of `MODELS`.
        samples: what it is given.
        precision: Keras' dtype policy, of this model alone.
        jit_compile: `auto`, `on` or `off`.
        steps_per_execution: see `keras.Model.compile`.
    """
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(precision)
    try:
        return MODELS[name](
            samples,
            jit_compile=JIT_COMPILE[jit_compile],
            steps_per_execution=steps_per_execution,
        )
    finally:
        keras.config.set_dtype_policy(before)
