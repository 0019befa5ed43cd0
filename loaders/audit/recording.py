"""A model that records the batches it gets, and the passes that use it.

The conditions are those of real training: a fresh model with a loss, an optimizer and metrics, all
unbuilt, because building them is what makes Keras draw batches ahead.
Imports Keras: `KERAS_BACKEND` must be set before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from keras_loader_bench.loaders.audit.records import Arrays

Record = Callable[[Arrays], None]


class CountSteps(keras.metrics.Metric):
    """A metric for targets of any form."""

    def __init__(self) -> None:
        super().__init__(name="steps")
        self.steps = self.add_variable(shape=(), initializer="zeros", name="steps")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Count one step."""
        self.steps.assign_add(1)

    def result(self) -> Any:
        """Return the number of steps since the epoch began."""
        return self.steps + 0  # a tensor of its own: the variable changes before logs are read


class RecordingModel(keras.Model):
    """Passes every batch that it is given to a function, as NumPy arrays, and trains on it.

    Args:
        record: called with the arrays of every step's batch, in the order of the steps.
    """

    def __init__(self, record: Record) -> None:
        super().__init__()
        self.record = record
        self.outputs_of_steps: list[Any] = []
        """What `predict` should return, in the order of its steps."""
        self.dense = keras.layers.Dense(1)

    def call(self, x: Any) -> Any:
        """Return one number per sample."""
        first = keras.tree.flatten(x)[0]
        flat = keras.ops.reshape(first, (keras.ops.shape(first)[0], -1))
        return self.dense(keras.ops.cast(flat[:, :10], "float32"))

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        """Return a loss for targets of any form, also for none."""
        return keras.ops.mean(y_pred)

    # The last argument is the batch; on JAX the state comes before it.

    def train_step(self, *args: Any) -> Any:
        """Record one batch and train on it."""
        self.record(as_arrays(args[-1]))
        return super().train_step(*args)

    def test_step(self, *args: Any) -> Any:
        """Record one batch and evaluate it."""
        self.record(as_arrays(args[-1]))
        return super().test_step(*args)

    def predict_step(self, *args: Any) -> Any:
        """Record one batch, without its targets, and predict it."""
        x, _, _ = keras.utils.unpack_x_y_sample_weight(args[-1])
        self.record(as_arrays(x))
        result = super().predict_step(*args)
        output = result[0] if keras.backend.backend() == "jax" else result
        self.outputs_of_steps.append(keras.ops.convert_to_numpy(output))
        return result


def as_arrays(data: Any) -> Arrays:
    """Return a batch as arrays by name, in a fixed order.

    Args:
        data: what a step is given: `x`, `(x, y)` or `(x, y, sample_weight)` of tensors or arrays.
    """
    parts = zip(
        ("x", "y", "sample_weight"), keras.utils.unpack_x_y_sample_weight(data), strict=True
    )
    arrays = {}
    for name, part in parts:
        if part is None:
            continue
        for path, leaf in keras.tree.flatten_with_path(part):
            array = np.asarray(keras.ops.convert_to_numpy(leaf))
            arrays["/".join([name, *map(str, path)])] = array
    return arrays


def recording_model(record: Record, steps_per_execution: int = 1) -> Any:
    """Return a fresh model with a loss, an optimizer and a metric, none of them built."""
    model = RecordingModel(record)
    model.compile(
        optimizer="sgd",
        metrics=[CountSteps()],
        run_eagerly=True,
        steps_per_execution=steps_per_execution,
    )
    return model


def record_fit(
    fit_args: Mapping[str, Any],
    records: list[Record],
    *,
    shuffle: bool = False,
    steps_per_execution: int = 1,
) -> None:
    """Fit a fresh model, for one epoch with each of the records.

    Args:
        fit_args: the arguments of `fit` that say what it trains on.
        records: one function an epoch, called with each batch.
        shuffle: passed to `fit`.
        steps_per_execution: passed to `compile`.
    """

    class Epochs(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.model.record = records[epoch]

    model = recording_model(records[0], steps_per_execution)
    model.fit(**fit_args, epochs=len(records), shuffle=shuffle, verbose=0, callbacks=[Epochs()])


def record_evaluate(
    fit_args: Mapping[str, Any], record: Record, *, steps_per_execution: int = 1
) -> None:
    """Evaluate a fresh model.

    Args:
        fit_args: the arguments of `fit` that say what it would train on.
        record: called with each batch.
        steps_per_execution: passed to `compile`.
    """
    recording_model(record, steps_per_execution).evaluate(**_with_steps(fit_args), verbose=0)


def record_predict(
    fit_args: Mapping[str, Any], record: Record, *, steps_per_execution: int = 1
) -> bool:
    """Predict with a fresh model.

    Args:
        fit_args: the arguments of `fit` that say what it would train on.
        record: called with each batch, without its targets.
        steps_per_execution: passed to `compile`.

    Returns:
        Whether `predict` returned the outputs of its steps, in their order.
    """
    model = recording_model(record, steps_per_execution)
    args = {
        name: value
        for name, value in _with_steps(fit_args).items()
        if name not in ("y", "sample_weight")
    }
    outputs = model.predict(**args, verbose=0)
    return np.array_equal(np.concatenate(model.outputs_of_steps), outputs)


def _with_steps(fit_args: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments of `fit` under the names that `evaluate` and `predict` have for them."""
    return {{"steps_per_epoch": "steps"}.get(name, name): v for name, v in fit_args.items()}
