"""Batches of any structure: their form, as tensors, as zeros, repeated."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import keras
import numpy as np

from keras_loader_bench.bench.child.backends import current
from keras_loader_bench.loaders.audit.batches.recording import as_arrays
from keras_loader_bench.loaders.system.text import shown


def as_fit_takes_it(batch: Any) -> Any:
    """Return a batch with its parts in a tuple: a list of them is one to `fit` as well."""
    return tuple(batch) if isinstance(batch, list) else batch


def samples_of(batch: Any) -> int:
    """Return how many samples a batch has."""
    with suppress(AttributeError, IndexError, TypeError):
        first, *_ = keras.tree.flatten(batch)
        return int(first.shape[0])
    return 1


def as_tensors(batch: Any) -> Any:
    """Return a batch as tensors of the backend, on its device."""

    def convert(leaf: Any) -> Any:
        if leaf is None:
            return None
        if not keras.ops.is_tensor(leaf) and hasattr(leaf, "to_tensor"):
            leaf = leaf.to_tensor()  # TensorFlow's ragged ones are filled up, as by Keras
        try:
            ready = keras.ops.is_tensor(leaf)  # torch's may lie on the host
            return keras.ops.convert_to_tensor(leaf if ready else keras.ops.convert_to_numpy(leaf))
        except (TypeError, ValueError):  # sparse ones and the like: `fit` knows what they are
            return leaf

    return keras.tree.map_structure(convert, batch)


def form_of(batch: Any) -> Any:
    """Return dtype and shape of each array of a batch, in its structure, as JSON has it."""
    if isinstance(batch, dict):
        return {shown(str(name)): form_of(each) for name, each in batch.items()}
    if isinstance(batch, (list, tuple)):
        return [form_of(each) for each in batch]
    if batch is None:
        return None
    made = batch if hasattr(batch, "shape") and hasattr(batch, "dtype") else np.asarray(batch)
    dtype = getattr(made.dtype, "name", None) or str(made.dtype).rpartition(".")[2]
    # A ragged tensor has dimensions of no size.
    return {"dtype": dtype, "shape": [1 if n is None else int(n) for n in made.shape]}


def zeros_like(form: Any) -> Any:
    """Return a batch of zeros of a form that `form_of` returned."""
    if form is None:
        return None
    if isinstance(form, dict) and form.keys() == {"dtype", "shape"}:
        return keras.ops.zeros(form["shape"], dtype=form["dtype"])
    if isinstance(form, dict):
        return {name: zeros_like(each) for name, each in form.items()}
    return tuple(zeros_like(each) for each in form)


def described(batch: Any) -> dict[str, str]:
    """Return name -> dtype and shape of a sample of each array of a batch."""
    return {
        shown(name): f"{array.dtype} {tuple(array.shape[1:])}"
        for name, array in as_arrays(batch).items()
    }


def empty_like(batch: Any) -> Any | None:
    """Return a batch of tensors without its samples; `None`: its tensors cannot be cut."""
    try:
        return keras.tree.map_structure(lambda leaf: None if leaf is None else leaf[:0], batch)
    except TypeError:  # sparse
        return None


def ceiling_arguments(replayed: Sequence[Any], batches: int) -> dict[str, Any]:
    """Return `fit`'s arguments for batches of tensors, repeated to so many in all."""
    each, rest = divmod(batches, len(replayed))
    runs = [(batch, each + (i < rest)) for i, batch in enumerate(replayed)]
    # A size that does not come leaves the batch size open, as inputs do.
    empty = empty_like(replayed[0])
    runs += [] if empty is None else [(empty, 0)]
    return {**current().repeat(runs, epochs=1), "shuffle": False}


def text_in(batch: Any) -> str | None:
    """Return the dtype of the first array of text that `fit` does not take; `None`: there is none.

    TensorFlow takes its own tensors of strings, and no array of NumPy's.
    """
    for leaf in keras.tree.flatten(batch):
        dtype = getattr(leaf, "dtype", None)
        of_tensorflow = getattr(dtype, "name", "") == "string" and not keras.ops.is_tensor(leaf)
        if of_tensorflow or getattr(dtype, "kind", "number") in {"O", "S", "U"}:
            return f"an array of {dtype}"
    return None
