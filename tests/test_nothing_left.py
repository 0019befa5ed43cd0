"""No thread and no process of a loader outlives it, however its `fit` ended."""

import faulthandler
import gc
import os
import signal
import subprocess
import sys
import threading
import time

import psutil
import pytest
from registered import every_loader

from keras_loader_bench.loaders import LoaderOptions, make_loader, sample_order
from keras_loader_bench.loaders.audit.batches.recording import record_fit
from keras_loader_bench.loaders.registry import missing_package

each_backend = pytest.mark.each_backend


def helpers():
    """Threads of Python and child processes; not those that `multiprocessing` keeps for itself."""
    threads = {t for t in threading.enumerate() if not isinstance(t, threading._DummyThread)}
    children = {
        process
        for process in psutil.Process().children(recursive=True)
        if "resource_tracker" not in " ".join(process.cmdline())
    }
    return threads | children


def left_over(before, seconds=5.0):
    """What is left after some time: threads that were told to end may need a moment."""
    gc.collect()  # takes a while where many tests ran before
    end = time.monotonic() + seconds
    while (left := helpers() - before) and time.monotonic() < end:
        time.sleep(0.05)
        gc.collect()  # a thread that just ended may have held what the error refers to
    if left:
        faulthandler.dump_traceback()  # where they are, and who keeps them
    else:
        # What lives now is none of the next test's. Where the first loader has imported TensorFlow,
        # each of its collections would take half a second.
        gc.freeze()
    return left


@each_backend
@every_loader
@pytest.mark.parametrize("error", [None, RuntimeError, KeyboardInterrupt])
def test_closing_ends_every_thread_and_process(loader_name, workers, error, source):
    """After a whole `fit`, after an error in its fourth step, and after a Ctrl-C there."""
    if error and workers and loader_name == "stock_sequence":
        pytest.skip("Keras leaves its own threads behind where `fit` raises")
    before = helpers()
    steps = []

    def step(batch):
        steps.append(len(batch["x"]))
        if error and len(steps) == 4:
            raise error("in the fourth step")

    options = LoaderOptions(batch_size=16, num_workers=workers)
    with make_loader(loader_name, source, options) as loader:
        args = loader.fit_args(sample_order(source.num_samples, seed=0, epoch=0))
        if error is None:
            record_fit(args, [step])
            assert sum(steps) == source.num_samples
        else:
            with pytest.raises(error, match="in the fourth step"):
                record_fit(args, [step])
            assert len(steps) == 4
    del loader, args
    assert not left_over(before)


@each_backend
@pytest.mark.skipif(missing_package(("torch",)) is not None, reason="torch is not installed")
def test_a_batch_that_another_thread_took_keeps_no_worker(source, monkeypatch):
    """As on TensorFlow, where a thread may take one after `fit` has raised."""
    # It is waited for in vain. (A module that needs torch cannot be imported above.)
    monkeypatch.setattr("keras_loader_bench.loaders.torch_loader.PATIENCE_S", 1.0)
    before = helpers()
    loader = make_loader("torch", source, LoaderOptions(batch_size=16, num_workers=2))
    batches = iter(loader.fit_args(sample_order(source.num_samples, seed=0, epoch=0))["x"])
    next(batches)
    batches._data_queue.get(timeout=60)
    closing = threading.Thread(target=loader.close, daemon=True)
    closing.start()
    closing.join(timeout=60)
    assert not closing.is_alive()
    del loader, batches
    assert not left_over(before)


INTERRUPTED = """
import sys
if __name__ == "__main__":  # a worker process imports the rest of this file
    import torch
    from keras_loader_bench.loaders import ImageSource, LoaderOptions, make_loader, sample_order
    from keras_loader_bench.loaders.audit.batches.recording import record_fit

    source = ImageSource.open(sys.argv[1])
    with make_loader("torch", source, LoaderOptions(batch_size=8, num_workers=2)) as loader:
        rows = sample_order(source.num_samples, seed=0, epoch=0)
        step = lambda batch: print("step", flush=True)
        record_fit(loader.fit_args(rows), [step] * 10_000)
"""


@pytest.mark.skipif(missing_package(("torch",)) is not None, reason="torch is not installed")
@pytest.mark.long
def test_ctrl_c_in_a_terminal_ends_worker_processes_too(source, tmp_path):
    """A terminal interrupts the workers as well as the process that trains."""
    script = tmp_path / "train.py"
    script.write_text(INTERRUPTED)
    log = tmp_path / "log"
    with (
        log.open("w") as errors,
        subprocess.Popen(
            [sys.executable, "-X", "faulthandler", str(script), str(source.folder)],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
            # Not TensorFlow: after an exception it may end an iterator while it holds Python's
            # lock. It then waits for ever for its own thread, which needs the lock to call the
            # generator.
            env={**os.environ, "KERAS_BACKEND": "torch"},
        ) as process,
    ):
        assert process.stdout
        # Not in the first step: there Keras starts a thread for its callbacks, and an interrupt
        # just then can leave Python waiting for that thread for ever (`ThreadPoolExecutor` knows
        # of it only after it has been started).
        for _ in range(20):
            assert process.stdout.readline() == "step\n"
        family = psutil.Process(process.pid).children(recursive=True)
        assert len(family) >= 2
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.communicate(timeout=30)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)  # ends it, and `faulthandler` writes its stacks
            process.wait(timeout=10)
            pytest.fail(f"It did not end:\n{log.read_text()}")
    assert process.returncode != 0
    _, alive = psutil.wait_procs(family, timeout=10)
    assert not alive
