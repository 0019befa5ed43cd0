"""A `tf.data.Dataset` whose batches `fit` shuffles, and whose length may change between passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from keras_loader_bench.loaders.bridges.passes import fit_shuffles


class PassesOfFit(tf.data.Dataset):
    """In order wherever it is read, but shuffled where `fit` reads it and is told to shuffle.

    How many batches it has is asked where Keras asks, before the first epoch. A pass may have more
    or fewer, as one of a `PyDataset` may: `tf.data.experimental.assert_cardinality` would raise.

    Args:
        make: returns the dataset, in order or shuffled: each iteration is a pass.
        num_batches: returns how many batches it has; `None`: it has no end.
    """

    def __init__(self, make: Callable[[bool], Any], num_batches: Callable[[], int | None]) -> None:
        self._make = make
        self._num_batches = num_batches
        self._in_order = make(False)
        self._shuffled: Any = None
        super().__init__(tf.data.experimental.to_variant(self._in_order))

    def __iter__(self) -> Any:
        if not fit_shuffles():
            return iter(self._in_order)
        if self._shuffled is None:
            self._shuffled = self._make(True)
        return iter(self._shuffled)

    def map(self, *args: Any, **kwargs: Any) -> Any:
        """See `tf.data.Dataset.map`. Keras calls it where `fit` is given a `class_weight`."""
        return self._then(lambda dataset: dataset.map(*args, **kwargs))

    def prefetch(self, *args: Any, **kwargs: Any) -> Any:
        """See `tf.data.Dataset.prefetch`, which Keras calls after `map`."""
        return self._then(lambda dataset: dataset.prefetch(*args, **kwargs))

    def _then(self, change: Callable[[Any], Any]) -> Any:
        return PassesOfFit(lambda shuffle: change(self._make(shuffle)), self._num_batches)

    def cardinality(self) -> Any:
        """Return the number of batches that the next pass has, as things stand."""
        num_batches = self._num_batches()
        if num_batches is None:
            return tf.constant(tf.data.INFINITE_CARDINALITY, tf.int64)
        return tf.constant(num_batches, tf.int64)

    @property
    def element_spec(self) -> Any:
        """The types of a batch."""
        return self._in_order.element_spec

    def _inputs(self) -> list[Any]:
        # Private, and abstract: without it there can be no dataset of one's own.
        return [self._in_order]
