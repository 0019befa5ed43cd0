"""A model that records the batches it gets, and the passes that use it.

The conditions are those of real training: a fresh model with a loss, an optimizer and metrics, all
unbuilt, because building them is what makes Keras draw batches ahead.
Imports Keras: `KERAS_BACKEND` must be set before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import keras
import numpy as np

from keras_loader_bench.loaders.audit.batches.fields import Field, as_field, numbers, with_dtype
from keras_loader_bench.loaders.audit.batches.records import Arrays, num_samples
from keras_loader_bench.loaders.audit.inputs.arrays import FIELDS, array_name
from keras_loader_bench.loaders.system.text import without_traceback

Record = Callable[[Arrays], None]

_NO_ARRAYS = (bool, int, float, complex, str, bytes, np.generic)
_TAKEN = (
    "`fit` takes `x`, `(x, y)` or `(x, y, sample_weight)`, of arrays or dictionaries, lists or "
    "tuples of arrays, with one entry per sample (`np.asarray` makes an array of a list)"
)


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


class BatchError(ValueError):
    """A batch is none that `fit` takes; the message says what it is and what `fit` takes."""


class TrainsOnOutputs:
    """Of a `keras.Model` whose loss is the mean of its outputs: targets may have any form."""

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


class RecordingModel(TrainsOnOutputs, keras.Model):
    """Passes every batch that it is given to a function, as NumPy arrays, and trains.

    It trains on zeros, one per sample, so that nothing that a batch holds can make it fail.

    Args:
        record: called with the arrays of every step's batch, in the order of the steps.
    """

    def __init__(self, record: Record) -> None:
        super().__init__()
        self.record = record
        self.predicted = 0
        """Samples that `predict` has been given."""
        self.dense = keras.layers.Dense(1)

    def call(self, x: Any) -> Any:
        """Return one number per sample."""
        first = next((leaf for leaf in keras.tree.flatten(x) if len(leaf.shape)), None)
        count = 1 if first is None else keras.ops.shape(first)[0]
        return self.dense(keras.ops.zeros((count, 1)))

    # The last argument is the batch; on JAX the state comes before it.

    def train_step(self, *args: Any) -> Any:
        """Record one batch and train."""
        return super().train_step(*args[:-1], self._recorded(args[-1]))

    def test_step(self, *args: Any) -> Any:
        """Record one batch and evaluate."""
        return super().test_step(*args[:-1], self._recorded(args[-1]))

    def predict_step(self, *args: Any) -> Any:
        """Record one batch, without its targets, and number its samples."""
        x, _, _ = keras.utils.unpack_x_y_sample_weight(args[-1])
        stand_in = self._recorded((x,))
        result = super().predict_step(*args[:-1], stand_in)
        end = self.predicted + len(stand_in[0])
        numbered = keras.ops.arange(self.predicted, end, dtype="int32")
        self.predicted = end
        return (numbered, *result[1:]) if keras.backend.backend() == "jax" else numbered

    def _recorded(self, batch: Any) -> tuple[Any]:
        """Record a batch, and return as many zeros as it has samples."""
        fields = as_arrays(batch)
        self.record(fields)
        return (keras.ops.zeros((num_samples(fields), 1)),)


def as_arrays(data: Any) -> Arrays:
    """Return a batch as arrays by name, in a fixed order.

    Args:
        data: what a step is given: `x`, `(x, y)` or `(x, y, sample_weight)` of tensors or arrays.
    """
    return {name: as_field(leaf) for name, leaf in _named(data)}


def refused_fields(data: Any) -> dict[str, str]:
    """Return the fields of a batch of which the backend makes no tensor, and why.

    Args:
        data: what the input yields.
    """
    refused = {}
    for name, leaf in _named(data):
        try:
            keras.backend.standardize_dtype(getattr(leaf, "dtype", None))
            keras.ops.convert_to_tensor(leaf)
        except Exception as error:
            refused[name] = without_traceback(str(error))
    return refused


def as_compiled(record: Record) -> Record:
    """Return a function that records what a compiled step would be given.

    The audit's steps are not compiled. JAX gives compiled ones 32 bits for 64.
    """
    if keras.backend.backend() != "jax":
        return record
    import jax

    def canonical(field: Field) -> Field:
        values = numbers(field)
        if values.dtype.kind not in "biufc":
            return field
        return with_dtype(field, jax.dtypes.canonicalize_dtype(values.dtype))

    return lambda batch: record({name: canonical(field) for name, field in batch.items()})


def _named(data: Any) -> Iterator[tuple[str, Any]]:
    """Yield the arrays of a batch by name.

    Raises:
        BatchError: `fit` takes no such batch.
    """
    try:
        parts = keras.utils.unpack_x_y_sample_weight(data)
    except ValueError:
        raise BatchError(f"it is a {type(data).__name__} of {len(data)}; {_TAKEN}.") from None
    for field, part in zip(FIELDS, parts, strict=True):
        for path, leaf in [] if part is None else keras.tree.flatten_with_path(part):
            name = array_name(field, path)
            if isinstance(leaf, _NO_ARRAYS):
                what = f"`{name}` is {_a(type(leaf))}"
                if path and isinstance(path[-1], int):
                    inside = f"`{name.rpartition('/')[0]}`"
                    what = f"{inside} is a list that holds {_a(type(leaf))}, not an array"
                raise BatchError(f"{what}; {_TAKEN}.")
            if leaf is not None:
                yield name, leaf


def _a(kind: type) -> str:
    return f"an {kind.__name__}" if kind.__name__[0] in "aeiou" else f"a {kind.__name__}"


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
    return np.array_equal(np.arange(model.predicted), outputs)


def _with_steps(fit_args: Mapping[str, Any]) -> dict[str, Any]:
    """Return arguments of `fit` under the names that `evaluate` and `predict` have for them."""
    return {{"steps_per_epoch": "steps"}.get(name, name): v for name, v in fit_args.items()}
