"""The clock of a round waits for the device: its work is in the time, not left for later."""

import time

import keras
import numpy as np
import pytest
from registered import BACKEND

from bench import device
from bench.cases import Case
from bench.worker import Worker

pytestmark = pytest.mark.each_backend

SIZE = 1000
STEPS = 30


class Holder:
    """A model of one variable."""

    def __init__(self, value):
        self.variable = keras.Variable(value)
        self.variables = [self.variable]


def test_synchronize_waits_for_work_that_was_only_asked_for():
    """A long chain of products is asked for without waiting, as a step on an accelerator is."""
    holder = Holder(np.full((SIZE, SIZE), 1e-3, np.float32))
    ask, ask_asynchronously = asking(holder)
    ask()  # compiles
    device.synchronize(holder)
    with ask_asynchronously:
        start = time.perf_counter()
        ask()
        asked = time.perf_counter() - start
        device.synchronize(holder)
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
        source=str(source.folder), samples=source.num_samples, case=case.to_dict(), seed=0
    )
    worker.import_framework()
    worker.make_model()
    worker.make_ceiling()
    return worker


def test_the_clock_of_a_round_runs_until_the_device_is_done(source, monkeypatch):
    worker = ready_worker(source, batch_size=64)
    monkeypatch.setattr(device, "synchronize", lambda model: time.sleep(0.5))
    worker.prepare_round(loader="ceiling", epoch=0, samples=230)
    assert worker.round()["seconds"] >= 0.5


def test_an_accelerator_gets_whole_epochs(source):
    """On a CPU rounds are as long as they are wanted; see `Worker.calibrate`."""
    worker = ready_worker(source, bench="emulated", batch_size=8, step_ms=20)
    worker.make_loader()
    assert worker.calibrate(seconds=0.1) < 230
    worker._on_accelerator = True
    assert worker.calibrate(seconds=0.1) == 230


def test_a_cpu_has_no_device_memory():
    if device.describe_backend()["device"] != "cpu":
        pytest.skip("this process has an accelerator")
    device.reset_peak_memory()
    assert device.peak_memory() == {
        "peak_device_bytes": None,
        "reason": "the backend runs on the CPU",
    }


def test_an_allocator_that_fails_costs_a_figure(monkeypatch):
    def broken():
        raise RuntimeError("no driver")

    monkeypatch.setitem(device._PEAKS, BACKEND, broken)
    assert device.peak_memory() == {"peak_device_bytes": None, "reason": "RuntimeError: no driver"}
