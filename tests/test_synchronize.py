"""The clock of a round waits for the device: its work is in the time, not left for later."""

import time
from dataclasses import asdict

import keras
import numpy as np
import pytest
from registered import BACKEND

from keras_loader_bench.bench.child import device
from keras_loader_bench.bench.child.backends import current
from keras_loader_bench.bench.child.models import NullModel, SampleCounter
from keras_loader_bench.bench.child.worker import Worker
from keras_loader_bench.bench.plan.case import Case

pytestmark = [pytest.mark.each_backend, pytest.mark.measures]

NO_MEMORY = {
    "peak_device_bytes": None,
    "device_bytes_in_use": None,
    "pinned_peak_bytes": None,
}

SIZE = 1000
STEPS = 30


class Holder:
    """A model of one variable."""

    def __init__(self, value):
        self.variable = keras.Variable(value)
        self.variables = [self.variable]
        self.metrics_variables = []


def test_synchronize_waits_for_work_that_was_only_asked_for():
    """A long chain of products is asked for without waiting, as a step on an accelerator is."""
    holder = Holder(np.full((SIZE, SIZE), 1e-3, np.float32))
    ask, ask_asynchronously = asking(holder)
    ask()  # compiles
    current().synchronize(holder)
    with ask_asynchronously:
        start = time.perf_counter()
        ask()
        asked = time.perf_counter() - start
        current().synchronize(holder)
        done = time.perf_counter() - start
        np.asarray(keras.ops.convert_to_numpy(holder.variable.value))
        read = time.perf_counter() - start
    if BACKEND != "torch" or keras.src.backend.torch.core.DEFAULT_DEVICE != "cpu":
        assert asked < 0.5 * done, "the work was done where it was asked for: nothing is shown"
    assert read - done < 0.2 * done, "work was left after the clock had stopped"


def asking(holder):
    """A function that asks for a second of work, and the context in which it does not wait."""
    from contextlib import nullcontext

    if BACKEND == "jax":
        import jax

        @jax.jit
        def work(value):
            return jax.lax.fori_loop(0, STEPS, lambda _, v: v @ v / v[0, 0] * 1e-3, value)

        return lambda: holder.variable.assign(work(holder.variable.value)), nullcontext()
    if BACKEND == "torch":

        def work():
            import torch

            value = holder.variable.value
            with torch.no_grad():
                for _ in range(STEPS):
                    value = value @ value / value[0, 0] * 1e-3
                holder.variable.assign(value)

        return work, nullcontext()
    import tensorflow as tf

    class Asynchronous:
        def __enter__(self):
            tf.config.experimental.set_synchronous_execution(False)

        def __exit__(self, *exc_info):
            tf.config.experimental.set_synchronous_execution(True)

    @tf.function
    def work():
        value = holder.variable.value.value()
        for _ in range(STEPS):
            value = tf.matmul(value, value) / value[0, 0] * 1e-3
        holder.variable.value.assign(value)

    return work, Asynchronous()


def ready_worker(source, bench="feed", **options):
    case = Case(
        bench=bench,
        backend=BACKEND,
        loader="sequence",
        pixels="float32",
        samples=source.num_samples,
        **options,
    )
    worker = Worker(
        source=str(source.folder), samples=source.num_samples, case=asdict(case), seed=0
    )
    worker.import_framework()
    worker.make_model()
    worker.make_ceiling()
    return worker


class LongStep(SampleCounter):
    """A counter whose every step multiplies matrices, which nothing that `fit` returns needs."""

    def __init__(self):
        super().__init__()
        self.work = self.add_variable((SIZE, SIZE), "ones", name="work")

    def update_state(self, y_true, y_pred, sample_weight=None):
        super().update_state(y_true, y_pred)
        value = self.work + 0.0
        for _ in range(STEPS):
            value = keras.ops.matmul(value, value) / SIZE
        self.work.assign(value)


def test_the_time_of_a_long_step_is_in_the_time_of_its_round(source):
    worker = ready_worker(source, batch_size=64)
    worker._model = NullModel()
    worker._model.counter = LongStep()
    worker._model.compile()
    seconds = []
    for _ in range(3):
        worker.prepare_round(loader="ceiling", epoch=0, samples=230)
        seconds.append(worker.round()["seconds"])
        start = time.perf_counter()
        np.asarray(keras.ops.convert_to_numpy(worker._model.counter.work.value))
        left = time.perf_counter() - start
        assert left < 0.1 * seconds[-1], "work was left after the clock had stopped"
    # Four batches; the same products, one after the other and waited for.
    value = np.ones((SIZE, SIZE), np.float32)
    start = time.perf_counter()
    for _ in range(4 * STEPS):
        value = value @ value / SIZE
    assert min(seconds) > 0.2 * (time.perf_counter() - start)


def test_the_clock_of_a_round_runs_until_the_device_is_done(source, monkeypatch):
    worker = ready_worker(source, batch_size=64)
    monkeypatch.setattr(current(), "synchronize", lambda model: time.sleep(0.5))
    worker.prepare_round(loader="ceiling", epoch=0, samples=230)
    assert worker.round()["seconds"] >= 0.5


def test_an_accelerator_gets_whole_epochs(source):
    """On a CPU rounds are as long as they are wanted; see `Worker.calibrate`."""
    worker = ready_worker(source, batch_size=8)
    worker.make_loader()
    wanted = {"seconds": 1e-4, "accelerator_seconds": 0.5}
    size = worker.calibrate(**wanted)
    assert size["samples"] < 230
    assert size["epochs"] == 1
    worker._on_accelerator = True
    size = worker.calibrate(**wanted)
    assert size["samples"] == 230
    assert size["epochs"] > 1, "an epoch of this source is much shorter"
    for loader in ("ceiling", "loader"):
        worker.prepare_round(loader=loader, epoch=1, **size)
        reply = worker.round()
        assert reply["samples"] == 230 * size["epochs"]
        assert reply["epochs"] == size["epochs"]
    assert reply["seconds"] > 0.2


def test_jax_is_asked_for_all_that_a_step_has_made(source, monkeypatch):
    """Also for the variables of metrics, which are none of the model's `variables`."""
    if BACKEND != "jax":
        pytest.skip("others wait for a device, and not for values")
    import jax

    waited = []
    monkeypatch.setattr(jax, "block_until_ready", waited.extend)
    model = ready_worker(source, batch_size=8)._model
    current().synchronize(model)
    assert {id(value) for value in waited} == {id(v.value) for v in model.metrics_variables}
    assert waited


def test_a_cpu_has_no_device_memory():
    if device.describe_backend()["device"] != "cpu":
        pytest.skip("this process has an accelerator")
    device.reset_peak_memory()
    assert device.device_memory() == NO_MEMORY | {"reason": "the backend runs on the CPU"}


def test_an_allocator_that_fails_costs_a_figure(monkeypatch):
    def broken():
        raise RuntimeError("no driver")

    monkeypatch.setattr(current(), "device", lambda: "Test 100")
    monkeypatch.setattr(current(), "memory", broken)
    assert device.device_memory() == NO_MEMORY | {"reason": "RuntimeError: no driver"}
