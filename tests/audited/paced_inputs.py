"""Inputs and a model of which each batch and each step take a known time."""

import queue
import threading
import time

import keras
import numpy as np

BATCH, BATCHES = 8, 100


def batch(number):
    x = np.full((BATCH, 6), number, np.float32)
    return {"numbers": x}, np.full(BATCH, number, np.int32)


def take(seconds):
    """Take a time exactly: `time.sleep` may take a few tenths of a millisecond more."""
    end = time.perf_counter() + seconds
    time.sleep(seconds - 0.001)
    while time.perf_counter() < end:
        pass


class Paced(keras.utils.PyDataset):
    def __init__(self, seconds, batches=BATCHES, **options):
        super().__init__(**options)
        self.seconds = seconds
        self.batches = batches

    def __len__(self):
        return self.batches

    def __getitem__(self, index):
        take(self.seconds)
        return batch(index)


def ten_ms():
    return Paced(0.01)


def forty_ms():
    return Paced(0.04)


def read_ahead():
    """Batches of 10 ms that a thread has made before they are asked for, as far as it can."""

    def made():
        ready = queue.Queue(maxsize=4)

        def make():
            for number in range(BATCHES):
                take(0.01)
                ready.put(batch(number))

        threading.Thread(target=make, daemon=True).start()
        for _ in range(BATCHES):
            yield ready.get()

    return made()


class SlowStep(keras.Model):
    """A step takes 20 ms."""

    def call(self, x):
        return x["numbers"][:, :1]

    def train_step(self, *args):
        take(0.02)
        logs = {"loss": 0.0}
        return (logs, args[0]) if keras.backend.backend() == "jax" else logs


def slow_step():
    model = SlowStep()
    model.compile(optimizer="sgd", loss="mse", run_eagerly=True)
    return model


def not_compiled():
    return SlowStep()


no_model = 7
