"""Times the steps of one `fit` without its first batch, which waits for the start of everything."""

from __future__ import annotations

import math
import time
from typing import Any

import keras

from keras_loader_bench.bench.child.backends import current
from keras_loader_bench.bench.plan.case import Case


def steady_times(case: Case, samples: int, *, on_accelerator: bool) -> list[SteadyTime]:
    """Return what times a round of training for a part of an epoch; nothing for other rounds.

    Args:
        case: the case.
        samples: of the round.
        on_accelerator: whether the backend uses one; then a round is whole epochs.
    """
    if case.bench != "train" or on_accelerator:
        return []
    return [SteadyTime(math.ceil(samples / case.batch_size))]


class SteadyTime(keras.callbacks.Callback):
    """Notes when the first batch had been trained on, and when the last one had.

    Between the two, each batch was waited for once and trained on once. Where Keras fetches a batch
    before it begins the step, the same holds from the start of the first step to that of the last
    one. What comes after the last step is no batch: Keras ends its threads, and TensorFlow lets a
    generator finish what it has begun to read ahead.

    Args:
        batches: that `fit` is to take.
    """

    async_safe = True
    """Lets Keras call `on_train_batch_end` on a thread, when the results of the step are there.
    Without it Keras would wait for the device in every step. (An attribute that Keras looks for and
    does not document; without effect, the model's own rate would be too low.)"""

    def __init__(self, batches: int) -> None:
        super().__init__()
        self.steps = 0
        """Batches that were trained on."""
        self.timed = 0
        """Batches that lie between `begin` and `end`."""
        self.begin: float | None = None
        """`time.perf_counter()` in seconds; `None`: there was only one execution."""
        self.end: float | None = None
        """The same."""
        self._batches = batches

    @property
    def complete(self) -> bool:
        """Whether all batches came."""
        return self.steps >= self._batches

    def of_round(self, samples: int, batch_size: int) -> dict[str, Any]:
        """Return `steady_seconds` and `steady_samples` of the timed batches, if there are any.

        Args:
            samples: of all batches, of which the last one may be smaller.
            batch_size: of the others.
        """
        if self.begin is None or self.end is None:
            return {}
        timed = self.timed * batch_size
        if not current().FETCHES_BEFORE_STEP:
            timed = samples - (self._batches - self.timed) * batch_size  # the last one is timed
        return {"steady_seconds": self.end - self.begin, "steady_samples": timed}

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Note the time, where the batch has been fetched."""
        if not current().FETCHES_BEFORE_STEP:
            return
        if batch == 0:
            self.begin = time.perf_counter()
        elif batch == self._batches - 1:
            current().synchronize(self.model)
            self.end, self.timed = time.perf_counter(), batch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Note the time, where the batch was fetched within the step."""
        now = time.perf_counter()
        self.steps = max(self.steps, batch + 1)
        if current().FETCHES_BEFORE_STEP:
            return
        last = batch >= self._batches - 1
        if self.begin is None and not last:  # of the first execution
            self.begin, self.timed = now, self._batches - batch - 1
        elif last and self.end is None:
            self.end = now
