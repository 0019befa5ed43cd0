"""Finds out where the time of a batch goes: making it, Keras' conversion, the way to the device.

What is known otherwise is not measured here: the step is the ceiling's, the whole is the round's.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

import keras
import numpy as np

from keras_loader_bench.bench.child.backends import current
from keras_loader_bench.bench.child.inputs.batch_form import ceiling_arguments
from keras_loader_bench.bench.child.inputs.input_feed import InputFeed, fit_batches
from keras_loader_bench.bench.child.inputs.remedies import KeptBatches
from keras_loader_bench.bench.child.inputs.timed_functions import timed_functions
from keras_loader_bench.bench.child.inputs.timed_input import Clocks, cost_of_a_clock, timed_input
from keras_loader_bench.bench.child.models import NullModel
from keras_loader_bench.loaders.audit.batches.recording import as_arrays
from keras_loader_bench.loaders.system.text import shown

REPEATS = 3

CONVERTED = ("PyDataset", "generator", "torch DataLoader", "tf.data dataset", "grain dataset")
"""Kinds whose batches are there before Keras takes them; those of others are Keras' own work."""

MOST_BATCHES = 50
"""Of a `fit` that shows what conversion takes."""


def parts_of(
    feed: InputFeed,
    model: Any,
    batches: int,
    replayed: list[Any],
    callbacks: Sequence[Any] = (),
    *,
    narrow: Mapping[str, str],
) -> dict[str, float]:
    """Return seconds per batch.

    Args:
        feed: the input.
        model: what it feeds.
        batches: of the `fit` that is timed.
        replayed: batches on the device, those of the ceiling.
        callbacks: of each `fit`.
        narrow: name of an array of a batch -> a narrower dtype that holds its values.

    Returns:
        Those of `timed_input` or `timed_functions`; `reading`, the rest of the time of a batch
        without Keras, where the input cannot be cut; `conversion`, what Keras does to bring a
        batch that is ready into its loop; `copy` to the device, and `narrow_copy` where narrower
        dtypes would do (see `narrow_dtypes`); and `clock`, which is what measuring itself adds.
    """
    clocks = Clocks()
    timed = timed_input(feed.value(), feed.kind, clocks)
    if timed is None:
        parts = _uncut(feed, clocks, batches)
    else:
        fit_batches(
            model,
            feed.fit_arguments() | {"x": timed, "steps_per_epoch": batches},
            batches,
            callbacks,
        )
        parts = clocks.per_batch()
    host = feed.first[0]
    parts["copy"] = _copy(host)
    if narrow:
        parts["narrow_copy"] = _copy(_narrowed(host, narrow))
    if feed.kind in CONVERTED:
        ready = _conversion(feed.kind, host, replayed[0], min(batches, MOST_BATCHES), callbacks)
        parts["conversion"] = max(0.0, ready - parts["copy"])
    parts["clock"] = cost_of_a_clock()
    return parts


def _uncut(feed: InputFeed, clocks: Clocks, batches: int) -> dict[str, float]:
    """Return the parts of an input that is read as a whole, tf.data's Python functions apart."""
    again = None
    if feed.kind == "tf.data dataset":
        with timed_functions(clocks):
            again = feed.made_again()
    count, _, seconds = feed.read_alone(batches, again)
    reading = seconds / max(count, 1)
    parts = clocks.per_batch(count + 1)
    return parts | {"reading": max(0.0, reading - sum(parts.values()))}


def _narrowed(batch: Any, narrow: Mapping[str, str]) -> list[Any]:
    """Return the arrays of a batch, some with narrower dtypes."""
    return [
        array.astype(narrow[shown(name)])
        if shown(name) in narrow and isinstance(array, np.ndarray)
        else array
        for name, array in as_arrays(batch).items()
    ]


def _copy(batch: Any) -> float:
    """Return the seconds that a batch takes to the device."""
    leaves = [leaf for leaf in keras.tree.flatten(batch) if hasattr(leaf, "dtype")]

    def once() -> float:
        begin = time.perf_counter()
        current().wait_for([keras.ops.convert_to_tensor(leaf) for leaf in leaves])
        return time.perf_counter() - begin

    try:
        once()  # the first one may compile
    except (TypeError, ValueError):  # a kind of tensor that only `fit` converts: in its conversion
        return 0.0
    return median(once() for _ in range(REPEATS))


def _conversion(
    kind: str, host: Any, on_device: Any, batches: int, callbacks: Sequence[Any]
) -> float:
    """Return what a batch on the host takes beyond one on the device, through `fit`."""
    model = NullModel()
    model.compile()

    def seconds(arguments: dict[str, Any]) -> float:
        count, elapsed = fit_batches(model, arguments, batches, callbacks)
        return elapsed / count

    def held() -> dict[str, Any]:
        value = _held(kind, host, batches)
        return {"x": value, "steps_per_epoch": batches, "shuffle": False}

    def ceiling() -> dict[str, Any]:
        return ceiling_arguments([on_device], batches)

    seconds(held())  # traces
    seconds(ceiling())
    return median(seconds(held()) - seconds(ceiling()) for _ in range(REPEATS))


def _held(kind: str, batch: Any, batches: int) -> Any:
    """Return an input of a kind that costs nothing: one batch again and again."""
    if kind == "torch DataLoader":
        from torch.utils.data import DataLoader

        return DataLoader([batch] * batches, batch_size=None)
    if kind == "generator":
        return (batch for _ in range(batches))
    if kind == "tf.data dataset":
        import tensorflow as tf

        return tf.data.Dataset.from_tensors(batch).repeat(batches)
    if kind == "grain dataset":
        import grain

        return grain.MapDataset.source([batch]).repeat(batches).to_iter_dataset()
    return KeptBatches([batch] * batches)
