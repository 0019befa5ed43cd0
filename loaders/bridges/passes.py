"""The passes over a dataset: in which order its batches come, and what Keras calls around them."""

from __future__ import annotations

import inspect
import random
import threading
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from keras_loader_bench.loaders.bridges.returned import num_batches_of
from keras_loader_bench.loaders.contract import Rows

ENDLESS = range(2**62)
"""The order of a dataset that has no end."""

_CODE = {
    inspect.unwrap(getattr(keras.Model, name)).__code__: name
    for name in ("fit", "evaluate", "predict")
}


def fit_shuffles() -> bool:
    """Return whether it is `fit` that begins this pass, and told to shuffle: its default.

    `fit` shuffles the batches of a `PyDataset`. It does not tell a `tf.data.Dataset` or a
    `DataLoader` what its `shuffle` is, nor that it is `predict`, which must not shuffle. The one
    place that has it is the call itself, among those that are under way.
    """
    frame = inspect.currentframe()
    while frame is not None and frame.f_code not in _CODE:
        frame = frame.f_back
    return frame is not None and bool(frame.f_locals.get("shuffle", False))


def order_of(num_batches: int | None, *, shuffle: bool) -> Sequence[int]:
    """Return the batches of a pass in order, or shuffled as Keras does: by Python's generator."""
    if num_batches is None:
        return ENDLESS
    order = range(num_batches)
    return _shuffled(order, random) if shuffle else order


def foreseen_order(num_batches: int, state: Any) -> Sequence[int]:
    """Return the order that `order_of` will shuffle, given what `random.getstate` returned."""
    generator = random.Random()  # noqa: S311  the one that Keras uses, not for secrets
    generator.setstate(state)
    return _shuffled(range(num_batches), generator)


def _shuffled(order: Sequence[int], generator: Any) -> Sequence[int]:
    shuffled = list(order)
    generator.shuffle(shuffled)
    return shuffled


def shuffled_batches(rows: Rows, batch_size: int) -> Rows:
    """Return the rows with batches of them in another order; one that is smaller stays last."""
    end = len(rows) // batch_size * batch_size
    batches = rows[:end].reshape(-1, batch_size)
    order = order_of(len(batches), shuffle=True)
    return np.concatenate([batches[np.asarray(order, np.intp)].ravel(), rows[end:]])


class Passes:
    """The passes over a dataset: what Keras would call, in the order in which it should."""

    def __init__(self, dataset: keras.utils.PyDataset) -> None:
        self._dataset = dataset
        self._lock = threading.Lock()
        self._number = 0
        self._unread = 0
        """Batches of the pass under way that were not read yet."""

    def begin(self, *, shuffle: bool) -> tuple[int, Sequence[int]]:
        """Begin a pass, and end one that was broken off; return its number and its order."""
        with self._lock:
            broken_off, self._unread = self._unread, 0
        if broken_off:
            self._dataset.on_epoch_end()
        self._dataset.on_epoch_begin()
        order = order_of(num_batches_of(self._dataset), shuffle=shuffle)
        with self._lock:
            self._number += 1
            self._unread = len(order)
            number = self._number
        if not order:
            self._dataset.on_epoch_end()
        return number, order

    def has_read(self, number: int) -> None:
        """Say that one more batch of a pass was read; the last one ends it."""
        with self._lock:
            if number != self._number:  # a thread of a pass that was broken off
                return
            self._unread -= 1
            ended = self._unread == 0
        if ended:
            self._dataset.on_epoch_end()
