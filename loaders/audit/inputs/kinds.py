"""The kinds of inputs that `fit` takes: how they are recognised and read, and how long they are.

Kinds are recognised by class names, as Keras does, so that no framework is imported to tell.
"""

from __future__ import annotations

import itertools
import types
from collections.abc import Generator
from typing import Any, Literal

from keras_loader_bench.loaders.audit.inputs.arrays import batches_of, fit_arguments, num_batches
from keras_loader_bench.loaders.bridges.returned import num_batches_of

Kind = Literal[
    "PyDataset",
    "tf.data dataset",
    "torch DataLoader",
    "grain DataLoader",
    "grain dataset",
    "generator",
    "arrays",
]

Length = int | Literal["infinite", "unknown"]
"""Batches of an input."""

_CLASSES: dict[tuple[str, str], Kind] = {
    # name of a base class, start of its module -> what it is called
    ("PyDataset", "keras."): "PyDataset",
    ("DatasetV2", "tensorflow.python."): "tf.data dataset",
    ("DataLoader", "torch.utils.data"): "torch DataLoader",
    ("DataLoader", "grain."): "grain DataLoader",
    ("MapDataset", "grain."): "grain dataset",
    ("IterDataset", "grain."): "grain dataset",
}

_REPEATED = 2**48
"""A Grain dataset that repeats without an end says that it has nearly `sys.maxsize` samples."""


def kind_of(value: Any) -> Kind | None:
    """Return what kind of input something is; `None`: `fit` takes no such input."""
    if isinstance(value, types.GeneratorType):
        return "generator"
    for parent in type(value).__mro__:
        for (name, module), kind in _CLASSES.items():
            if parent.__name__ == name and parent.__module__.startswith(module):
                return kind
    return None if fit_arguments(value) is None else "arrays"


def length_of(value: Any, kind: Kind) -> Length:
    """Return how many batches one reading of an input has, where it says so.

    Raises:
        ValueError: a PyDataset says what is no number of batches.
    """
    if kind == "PyDataset":
        batches = num_batches_of(value)
        return "infinite" if batches is None else batches
    if kind == "tf.data dataset":
        cardinality = int(value.cardinality())
        return {-1: "infinite", -2: "unknown"}.get(cardinality, cardinality)  # type: ignore[return-value]
    if kind == "arrays":
        return num_batches(value)
    try:
        batches = len(value)
    except TypeError:
        return "unknown"
    return "infinite" if batches > _REPEATED else batches


def samples_of_input(value: Any, kind: Kind) -> int | None:
    """Return how many samples an input has, as far as it knows: of its data set or its files."""
    dataset: Any = getattr(value, "dataset", None)
    if kind == "torch DataLoader" and value.batch_size and hasattr(dataset, "__len__"):
        return len(dataset)
    for name in ("file_paths", "filenames"):  # of Keras' utilities for folders of files
        if isinstance(files := getattr(value, name, None), list):
            return len(files)
    return None


def read_by_hand(value: Any, kind: Kind, steps: int | None = None) -> Generator[Any]:
    """Yield the batches of an input without Keras, one after the other.

    Args:
        value: the input.
        kind: of the input.
        steps: batches after which an epoch ends; `None`: it ends with the input.
    """
    if kind == "arrays":
        yield from batches_of(value)
        return
    if kind != "PyDataset":
        yield from value
        return
    # As Keras does around an epoch: an input that shuffles there is to be seen doing it.
    value.on_epoch_begin()
    length = length_of(value, kind)
    try:
        for i in range(length) if isinstance(length, int) else itertools.count():
            if steps and i and i % steps == 0:
                value.on_epoch_end()
                value.on_epoch_begin()
            yield value[i]
    except GeneratorExit:  # only some were wanted
        value.on_epoch_end()
        raise
    value.on_epoch_end()
