"""The models that rounds of a user's input fit: the null model, the user's own, or the CNN."""

from __future__ import annotations

from typing import Any

import keras

from keras_loader_bench.bench.child.models import NullModel, cnn_layers
from keras_loader_bench.loaders.audit.batches.recording import TrainsOnOutputs
from keras_loader_bench.loaders.audit.inputs.target import load_attribute


class NoModelError(Exception):
    """This suite has no model for these batches; the message has the remedy."""


class ModelError(Exception):
    """A user's model cannot be trained; the message has the remedy."""


def input_model(name: str, form: Any) -> Any:
    """Return a compiled model.

    Args:
        name: `null`, `cnn`, or `module:attribute` of a compiled model or of a function that
            returns one.
        form: of a batch, see `bench.child.inputs.batch_form.form_of`.

    Raises:
        NoModelError: the CNN was asked for and the batches are not of images.
        ModelError: what the name stands for is no compiled model.
    """
    if name == "null":
        model = NullModel()
        model.compile()
        return model
    if ":" in name:
        return _own_model(name)
    return _cnn(form)


def _own_model(name: str) -> Any:
    made = load_attribute(name)
    if callable(made) and not isinstance(made, keras.Model):
        made = made()
    if not isinstance(made, keras.Model):
        raise ModelError(
            f"`{name}` is of type `{type(made).__qualname__}`; `--model` takes a compiled "
            "`keras.Model` or a function without arguments that returns one."
        )
    if not made.compiled:
        raise ModelError(
            f"`{name}` is not compiled; call `model.compile(optimizer=..., loss=...)` where it is "
            "made."
        )
    return made


class _AnyTargets(TrainsOnOutputs, keras.Sequential):
    """A network whose loss does not look at labels."""


def _cnn(form: Any) -> Any:
    x = form[0] if isinstance(form, list) else form
    shape = x.get("shape") if isinstance(x, dict) else None
    image = isinstance(shape, list) and len(shape) == 4 and min(shape[1:3]) >= 8
    if not image or shape[3] > 16:  # type: ignore[index]
        raise NoModelError(
            "the suite's CNN takes images, (height, width, channels) with 8 pixels or more, and "
            "these batches have none; name your own model with `--model module:attribute`"
        )
    model = _AnyTargets([keras.Input(tuple(shape[1:]), dtype=x["dtype"])])  # type: ignore[index]
    if not x["dtype"].startswith(("float", "bfloat")):
        model.add(keras.layers.Rescaling(1 / 255))  # convolutions take no integers
    for layer in cnn_layers(min(shape[1:3])):  # type: ignore[index]
        model.add(layer)
    model.compile(optimizer=keras.optimizers.Adam(1e-3))
    return model
