"""What tests of reading ahead share: which threads there are, and sequences that end theirs."""

import gc
import threading
import time

import numpy as np

from keras_loader_bench.loaders.bridges.read_ahead import THREAD_NAME
from keras_loader_bench.loaders.sequence.lazy_sequence import LazySequence

ROWS = np.random.default_rng(5).permutation(230)


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith(THREAD_NAME)]


def eventually(condition) -> bool:
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.001)
    return condition()


def no_thread_stays():
    """For a fixture: every law is also this one, once its sequences are closed or collected."""
    yield
    if threads():
        gc.collect()
    assert eventually(lambda: not threads())


def maker_of_sequences(source):
    """For a fixture: closes its sequences when the test ends, as TensorFlow keeps them alive."""
    made = []

    def make(rows=ROWS, *, workers=4, batch_size=8, **options):
        made.append(
            LazySequence(source, rows, batch_size=batch_size, num_workers=workers, **options)
        )
        return made[-1]

    yield make
    for sequence in made:
        sequence.close()
