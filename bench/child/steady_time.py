"""Times the steps of one `fit` without its first batch, which waits for the start of everything."""

from __future__ import annotations

import time
from typing import Any

import keras

from keras_loader_bench.bench.child.backends import current


class SteadyTime(keras.callbacks.Callback):
    """Notes when the second batch was asked for, and when the last one had been trained on.

    Between the two, each batch was waited for once and trained on once, on every backend. Where
    Keras fetches a batch before it begins the step, that is from the start of the first step to
    the start of the last one; elsewhere from the start of the second step to the end of the epoch,
    when Keras has read the results of the last step. What comes then is no batch: TensorFlow lets a
    generator finish what it has begun to read ahead.

    Args:
        batches: that `fit` is to take.
    """

    def __init__(self, batches: int) -> None:
        super().__init__()
        self.steps = 0
        """Batches that were begun."""
        self.timed = 0
        """Batches that lie between `begin` and `end`."""
        self.begin: float | None = None
        """`time.perf_counter()` in seconds; `None`: there was only one step."""
        self.end: float | None = None
        """The same."""
        self._batches = batches

    @property
    def complete(self) -> bool:
        """Whether all batches came."""
        return self.steps >= self._batches

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Note the time."""
        # With several steps per execution only the first of each has a call.
        self.steps = max(self.steps, batch + 1)
        if current().FETCHES_BEFORE_STEP:
            if batch == 0:
                self.begin = time.perf_counter()
            elif batch == self._batches - 1:
                current().synchronize(self.model)
                self.end, self.timed = time.perf_counter(), batch
        elif batch > 0 and self.begin is None:
            self.begin, self.timed = time.perf_counter(), self._batches - batch

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Note the time."""
        if self.end is None:
            self.end = time.perf_counter()
