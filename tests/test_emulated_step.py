"""The emulated accelerator against answers that are known, on every backend."""

import hashlib
import threading
import time
from dataclasses import asdict
from statistics import median

import keras
import numpy as np
import pytest
from registered import BACKEND

from keras_loader_bench.bench.child.emulated_step import emulated_step
from keras_loader_bench.bench.child.worker import Worker
from keras_loader_bench.bench.plan.case import Case
from keras_loader_bench.loaders import bridge
from keras_loader_bench.loaders.bridges.read_ahead import ReadAhead
from keras_loader_bench.loaders.contract import Loader, LoaderOptions

pytestmark = [pytest.mark.each_backend, pytest.mark.measures]

BATCH = 2
BATCHES = 25
SAMPLES = BATCH * BATCHES
PACE_S = 0.01
"""What a batch takes in the loaders below: long, beside what the null step takes after a sleep."""


def batch():
    time.sleep(PACE_S)
    return np.zeros((BATCH, 32, 32, 3), np.float32), np.zeros((BATCH, 10), np.float32)


class Paced(keras.utils.PyDataset):
    """Is given to `fit` through the bridge: Keras' own way takes up to 0.4 ms a batch on torch."""

    def __init__(self, get):
        super().__init__()
        self.get = get

    def __len__(self):
        return BATCHES

    def __getitem__(self, index):
        return self.get(index)


def paced_dataset(read_ahead):
    """Of tf.data itself: on TensorFlow, Keras reads any PyDataset ahead."""
    import tensorflow as tf

    def paced(index):
        x, y = tf.numpy_function(batch, [], [tf.float32, tf.float32])
        return tf.ensure_shape(x, (None, 32, 32, 3)), tf.ensure_shape(y, (None, 10))

    options = tf.data.Options()
    options.autotune.enabled = False  # it would read ahead too
    return tf.data.Dataset.range(BATCHES).map(paced).prefetch(read_ahead).with_options(options)


class InlineLoader(Loader):
    """Takes 10 ms for a batch, in the thread that trains."""

    def fit_args(self, rows):
        if BACKEND == "tensorflow":
            return {"x": paced_dataset(0)}
        return {"x": bridge(Paced(lambda index: batch()))}


class AheadLoader(Loader):
    """Takes 10 ms for a batch, beside the thread that trains."""

    ahead = None

    def fit_args(self, rows):
        self.close()
        if BACKEND == "tensorflow":
            return {"x": paced_dataset(4)}
        self.ahead = ReadAhead(lambda index: batch(), BATCHES, num_workers=1, prefetch_batches=4)
        return {"x": bridge(Paced(self.ahead.__getitem__))}

    def close(self):
        if self.ahead is not None:
            self.ahead.close()


@pytest.fixture
def make_worker(source, monkeypatch):
    """A worker with an emulated step, and with one of the loaders above."""

    def make(loader_class, step_ms):
        case = asdict(
            Case(
                bench="emulated",
                backend=BACKEND,
                loader="sequence",
                batch_size=BATCH,
                pixels="float32",
                samples=SAMPLES,
                step_ms=step_ms,
            )
        )
        worker = Worker(source=str(source.folder), samples=SAMPLES, case=case, seed=0)
        worker.import_framework()
        worker.make_model()
        worker.make_ceiling()
        worker._loader = loader_class(source, LoaderOptions(batch_size=BATCH))
        return worker

    return make


def seconds_of(worker, loader):
    worker.prepare_round(loader=loader, epoch=0, samples=SAMPLES)
    return worker.round()["steady_seconds"]


def utilization(worker):
    seconds_of(worker, "loader")  # traces
    rounds = [(seconds_of(worker, "ceiling"), seconds_of(worker, "loader")) for _ in range(6)]
    ceiling, loader = map(min, zip(*rounds, strict=True))  # whatever else runs only adds to it
    return ceiling / loader


def test_a_batch_that_takes_as_long_as_a_step_keeps_it_busy_half_of_the_time(make_worker):
    worker = make_worker(InlineLoader, 10)
    assert utilization(worker) == pytest.approx(0.5, abs=0.05)


def test_read_ahead_that_is_fast_enough_keeps_it_busy_all_the_time(make_worker):
    worker = make_worker(AheadLoader, 20)
    assert utilization(worker) == pytest.approx(1.0, abs=0.03)
    worker.close_loader()


def test_the_start_of_fit_is_none_of_the_steps(make_worker, monkeypatch):
    """It would weigh more in a short round than in an epoch."""
    worker = make_worker(InlineLoader, 10)
    start = worker._loader.fit_args

    def slow(rows):
        time.sleep(0.5)
        return start(rows)

    seconds_of(worker, "loader")  # traces
    monkeypatch.setattr(worker._loader, "fit_args", slow)
    worker.prepare_round(loader="loader", epoch=0, samples=SAMPLES)
    round_ = worker.round()
    assert round_["seconds"] > round_["steady_seconds"] + 0.5
    assert round_["steady_seconds"] > 0.9 * (BATCHES - 1) * 2 * PACE_S


@pytest.mark.parametrize("busy", [False, True])
@pytest.mark.parametrize("step_ms", [0.5, 5])
def test_a_step_takes_its_time(step_ms, busy):
    step = emulated_step(step_ms, busy=busy)
    times = []
    for index in range(100):
        start = time.perf_counter()
        step.on_train_batch_end(index)
        times.append(time.perf_counter() - start)
    assert 1000 * median(times) == pytest.approx(step_ms, rel=0.1)


@pytest.mark.parametrize(("busy", "least", "most"), [(False, 0.0, 0.1), (True, 0.7, 1.05)])
def test_only_a_busy_step_takes_a_core(busy, least, most):
    step = emulated_step(5, busy=busy)
    start, cpu = time.perf_counter(), time.thread_time()
    for index in range(40):
        step.on_train_batch_end(index)
    share = (time.thread_time() - cpu) / (time.perf_counter() - start)
    assert least <= share <= most


@pytest.mark.parametrize("busy", [False, True])
def test_a_step_leaves_python_to_the_threads_of_a_loader(busy):
    """One that held Python's lock would stop them for the whole step."""
    step, done, stop = emulated_step(200, busy=busy), [], threading.Event()

    def work():
        while not stop.is_set():
            done.append(hashlib.sha256(b"x" * 100).digest())

    thread = threading.Thread(target=work)
    thread.start()
    before = len(done)
    step.on_train_batch_end(0)
    during = len(done) - before
    stop.set()
    thread.join()
    assert during > 1000
