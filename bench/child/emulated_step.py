"""The emulated accelerator: a step that takes a given time. For the process of a case only.

The method is that of MLPerf Storage (https://mlcommons.org/benchmarks/storage): data are loaded for
real, computation is replaced by waiting.
"""

from __future__ import annotations

import ctypes
import hashlib
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import keras

_PR_SET_TIMERSLACK = 29
_SLEEPS = 50
_PROBE_S = 0.002
_PROBES = 5
_PROBE_ITERATIONS = 1_000
_MOST = 0.9
_ENOUGH = 0.02


def emulated_step(milliseconds: float, *, busy: bool) -> EmulatedStep:
    """Return a callback that lets every step of `fit` take so much longer.

    Args:
        milliseconds: wait of a step after its batch has arrived.
        busy: keep one core busy meanwhile, without Python's lock, instead of sleeping.
    """
    return EmulatedStep(_busy(milliseconds / 1000) if busy else _sleep(milliseconds / 1000))


class EmulatedStep(keras.callbacks.Callback):
    """Waits in the thread that trains, when a step is done.

    Keras calls it before it asks for the next batch on every backend, so what loaders do beside
    that thread goes on, and what they do inside it has to wait.

    Args:
        wait: takes the time of a step.
    """

    def __init__(self, wait: Callable[[], object]) -> None:
        super().__init__()
        self._wait = wait
        self._ends: list[float] = []

    def on_train_begin(self, logs: Any = None) -> None:
        """Forget the steps of the `fit` before."""
        self._ends = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Wait."""
        self._wait()
        self._ends.append(time.perf_counter())

    @property
    def steady_seconds(self) -> float | None:
        """From the end of the first step to that of the last; `None` with fewer than two steps.

        The start of `fit` is not in it: in the short rounds of a benchmark it weighs many times
        what it does in an epoch.
        """
        return self._ends[-1] - self._ends[0] if len(self._ends) > 1 else None


def _sleep(seconds: float) -> Callable[[], object]:
    if sys.platform == "linux":
        # The kernel may let a thread sleep 50 microseconds longer than it asked for, a tenth of a
        # step of 0.5 ms, unless the thread says that it minds (`man 2 prctl`).
        ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
    shorter = max(0.0, seconds - _oversleep(min(seconds, _PROBE_S)))
    return lambda: time.sleep(shorter)


def _oversleep(seconds: float) -> float:
    """Measure how much longer a sleep takes than it should, while nothing competes."""
    times = []
    for _ in range(_SLEEPS):
        start = time.perf_counter()
        time.sleep(seconds)
        times.append(time.perf_counter() - start)
    return median(times) - seconds


def _busy(seconds: float) -> Callable[[], object]:
    """Work until the time is over, in a few calls in which OpenSSL does not hold Python's lock.

    A loop in Python would hold it, and stop every thread of a loader, which training does not. Each
    call is to take most of the time that is left, by how fast the one before was.
    """
    rate = 1 / _seconds_per_iteration()

    def wait() -> None:
        nonlocal rate
        start = now = time.perf_counter()
        while (left := start + seconds - now) > _ENOUGH * seconds:
            iterations = max(1, int(_MOST * left * rate))
            _work(iterations)
            before, now = now, time.perf_counter()
            rate = iterations / (now - before)

    return wait


def _seconds_per_iteration() -> float:
    """Measure on this core; the quickest of a few, which nothing has interrupted."""
    fastest = float("inf")
    for _ in range(_PROBES):
        start = time.perf_counter()
        _work(_PROBE_ITERATIONS)
        fastest = min(fastest, time.perf_counter() - start)
    return fastest / _PROBE_ITERATIONS


def _work(iterations: int) -> None:
    hashlib.pbkdf2_hmac("sha256", b"a step", b"of the model", iterations)
