"""Callbacks that count batches, and time the first step and the pause between epochs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import keras


class EachBatch(keras.callbacks.Callback):
    """Calls a function for every batch; next to free.

    Keras calls this hook anyway. With one for the end of a batch, it would wait for the device.
    """

    def __init__(self, on_batch: Callable[[], None]) -> None:
        super().__init__()
        self._on_batch = on_batch

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Call the function."""
        self._on_batch()


class FirstStep(keras.callbacks.Callback):
    """Notes when the first step ended, and ends the fit.

    With several steps an execution it is the end of the first execution.
    """

    def __init__(self) -> None:
        super().__init__()
        self.end: float | None = None
        """`time.perf_counter()` at the end of the step; `None`: there was none yet."""

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Note the time."""
        if self.end is None:
            self.end = time.perf_counter()
        self.model.stop_training = True


class Boundaries(keras.callbacks.Callback):
    """Times the boundaries between the epochs of one fit."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []
        """From the end of an epoch's last step to the end of the first step of the next."""
        self._last_end: float | None = None
        self._first_of_epoch = True

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Wait for the first step."""
        self._first_of_epoch = True

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Note the time."""
        now = time.perf_counter()
        if self._first_of_epoch and self._last_end is not None:
            self.seconds.append(now - self._last_end)
        self._first_of_epoch = False
        self._last_end = now
