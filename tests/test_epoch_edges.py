"""The edges of an epoch are timed where they are, whatever happens inside of it."""

import time

import keras
import numpy as np
import pytest
from registered import CIFAR10

from keras_loader_bench.bench.child.epoch_timing import Boundaries, FirstStep
from keras_loader_bench.bench.child.models import make_model

PAUSE_S = 0.08


class Pauses(keras.utils.PyDataset):
    """Pauses where an epoch begins, or in the middle of it."""

    def __init__(self, *, at: int) -> None:
        super().__init__()
        self.at = at

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int):
        if index == self.at:
            time.sleep(PAUSE_S)
        return np.zeros((4, 32, 32, 3), np.float32), np.zeros((4, 10), np.float32)


@pytest.fixture(scope="module")
def model():
    options = {"precision": "float32", "jit_compile": "auto", "steps_per_execution": 1}
    model = make_model("null", CIFAR10["float32"], **options)
    model.fit(Pauses(at=-1), epochs=2, shuffle=False, verbose=0)
    return model


@pytest.mark.each_backend
def test_a_boundary_has_what_comes_before_the_first_batch(model):
    times = Boundaries()
    model.fit(Pauses(at=0), epochs=5, shuffle=False, verbose=0, callbacks=[times])
    assert len(times.seconds) == 4
    assert min(times.seconds) >= PAUSE_S


@pytest.mark.each_backend
@pytest.mark.measures
def test_a_boundary_has_nothing_of_the_middle_of_an_epoch(model):
    times = Boundaries()
    model.fit(Pauses(at=3), epochs=5, shuffle=False, verbose=0, callbacks=[times])
    assert np.median(times.seconds) < PAUSE_S


@pytest.mark.each_backend
def test_the_first_step_ends_the_fit(model):
    step, seen = FirstStep(), Boundaries()
    start = time.perf_counter()
    history = model.fit(Pauses(at=0), epochs=5, shuffle=False, verbose=0, callbacks=[step, seen])
    assert PAUSE_S <= step.end - start < time.perf_counter() - start
    assert history.history["samples"] == [4]
    assert seen.seconds == []
