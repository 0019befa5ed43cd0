"""`fit`, `evaluate` and `predict` are given a lazy sequence's rows, whatever threads read ahead."""

import os
import subprocess
import sys
import threading
import time
import traceback

import keras
import numpy as np
import pytest
import reading_ahead as kit
from conftest import PROJECT
from reading_ahead import ROWS, eventually, threads

from keras_loader_bench.loaders.audit.batches.recording import recording_model
from keras_loader_bench.loaders.bridges.read_ahead import THREAD_NAME
from keras_loader_bench.loaders.contract import LoaderOptions, make_batch
from keras_loader_bench.loaders.sequence.buffered_batches import BufferedBatches
from keras_loader_bench.loaders.sequence_loader import SequenceLoader

pytestmark = pytest.mark.each_backend

ORDERED = {"shuffle": False, "verbose": 0}

number_of_workers = pytest.mark.parametrize("workers", [None, 4])
no_thread_stays = pytest.fixture(autouse=True)(kit.no_thread_stays)
sequence_of = pytest.fixture(kit.maker_of_sequences)


class Witness:
    """A fresh model, and the rows that its steps were given: x and y must both be theirs."""

    def __init__(self, source) -> None:
        x, y = make_batch(source, np.arange(source.num_samples), "float32")
        self._row_of = {(x[row].tobytes(), y[row].tobytes()): row for row in range(len(x))}
        self.rows: list[int] = []
        self.model = recording_model(self._record)

    def _record(self, arrays) -> None:
        y = arrays.get("y")  # `predict` has none
        for number, image in enumerate(arrays["x"]):
            if y is None:
                rows = [row for (x, _), row in self._row_of.items() if x == image.tobytes()]
                self.rows.append(rows[0])
            else:
                self.rows.append(self._row_of[image.tobytes(), y[number].tobytes()])

    def passes(self, size: int = len(ROWS)) -> list[list[int]]:
        return [self.rows[start : start + size] for start in range(0, len(self.rows), size)]


class InterruptedFitError(Exception):
    pass


class Interrupt(keras.callbacks.Callback):
    """Ends `fit` in the middle of an epoch, without Keras noticing."""

    def on_train_batch_end(self, batch, logs=None):
        if batch == 2:
            raise InterruptedFitError


@number_of_workers
def test_every_epoch_of_fit_is_given_the_rows_in_order(source, sequence_of, workers):
    witness = Witness(source)
    witness.model.fit(sequence_of(workers=workers), epochs=3, **ORDERED)
    assert witness.passes() == [ROWS.tolist()] * 3


@pytest.mark.parametrize("batch_size", [1, 200, 1000])
def test_fit_is_given_the_rows_in_order_whatever_the_batch_size(source, sequence_of, batch_size):
    witness = Witness(source)
    witness.model.fit(sequence_of(ROWS[:30], batch_size=batch_size), epochs=2, **ORDERED)
    assert witness.passes(30) == [ROWS[:30].tolist()] * 2


@number_of_workers
def test_where_fit_shuffles_batches_each_row_still_comes_once_an_epoch(
    source, sequence_of, workers
):
    witness = Witness(source)
    witness.model.fit(sequence_of(workers=workers), epochs=3, shuffle=True, verbose=0)
    assert [sorted(rows) for rows in witness.passes()] == [list(range(230))] * 3
    assert ROWS.tolist() not in witness.passes()


def test_the_first_evaluate_is_given_the_rows_in_order(source, sequence_of):
    witness = Witness(source)
    witness.model.evaluate(sequence_of(), verbose=0)
    assert witness.passes() == [ROWS.tolist()]


def test_predict_returns_the_rows_in_order(source, sequence_of):
    witness = Witness(source)
    sequence = sequence_of()
    predicted = witness.model.predict(sequence, verbose=0)
    assert witness.passes() == [ROWS.tolist()]
    # The model numbers the samples in the order in which it is given them.
    np.testing.assert_array_equal(predicted.ravel(), np.arange(len(ROWS)))


def test_steps_per_epoch_cut_a_pass_and_lose_nothing(source, sequence_of):
    witness = Witness(source)
    sequence = sequence_of(ROWS[:120])  # 15 batches: two passes in six epochs of 5 steps
    witness.model.fit(sequence, epochs=6, steps_per_epoch=5, **ORDERED)
    assert witness.passes(120) == [ROWS[:120].tolist()] * 2


def test_training_and_validation_are_each_given_their_rows(source, sequence_of):
    witness = Witness(source)
    train, validation = sequence_of(ROWS[:150]), sequence_of(ROWS[150:])
    witness.model.fit(train, epochs=3, validation_data=validation, **ORDERED)
    assert witness.passes() == [ROWS.tolist()] * 3


def test_one_sequence_can_be_trained_on_and_validated_on(source, sequence_of):
    witness = Witness(source)
    sequence = sequence_of()
    witness.model.fit(sequence, epochs=2, validation_data=sequence, **ORDERED)
    assert witness.passes() == [ROWS.tolist()] * 4


def test_a_loader_delivers_the_rows_of_each_fit(source):
    witness = Witness(source)
    with SequenceLoader(source, LoaderOptions(batch_size=8, num_workers=3)) as loader:
        for rows in (ROWS, ROWS[::-1], ROWS[:7]):
            witness.model.fit(**loader.fit_args(rows), **ORDERED)
    assert witness.rows == [*ROWS, *ROWS[::-1], *ROWS[:7]]


@pytest.mark.parametrize("workers", [None, 4])
def test_most_batches_of_a_fit_are_read_ahead(source, sequence_of, monkeypatch, workers):
    readers = []

    original = BufferedBatches.__getitem__

    def read(batches, index):
        readers.append(threading.current_thread().name)
        time.sleep(0.002)  # as slow as a step: the threads get their turn
        return original(batches, index)

    monkeypatch.setattr(BufferedBatches, "__getitem__", read)
    Witness(source).model.fit(sequence_of(batch_size=4, workers=workers), **ORDERED)
    assert sum(name.startswith(THREAD_NAME) for name in readers) > 29  # of 58


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("steps", [None, 5])
def test_no_thread_is_left_by_a_fit(source, sequence_of, shuffle, steps):
    sequence = sequence_of(ROWS[:120])  # 15 batches
    for _ in range(3):
        Witness(source).model.fit(
            sequence, epochs=1, steps_per_epoch=steps, shuffle=shuffle, verbose=0
        )
        assert eventually(lambda: not threads())


def test_no_thread_is_left_by_a_fit_that_broke_off_once_the_sequence_is_closed(source, sequence_of):
    sequence = sequence_of(batch_size=2)
    with pytest.raises(InterruptedFitError):
        Witness(source).model.fit(sequence, callbacks=[Interrupt()], **ORDERED)
    assert threads()
    sequence.close()
    assert eventually(lambda: not threads())


@pytest.mark.parametrize("workers", [0, 4])
def test_an_error_while_reading_reaches_the_caller_of_fit(
    source, sequence_of, monkeypatch, workers
):
    original = BufferedBatches.__getitem__

    def read_from_a_broken_disk(batches, index):
        if index == 12:
            raise OSError("the disk is on fire")
        return original(batches, index)

    monkeypatch.setattr(BufferedBatches, "__getitem__", read_from_a_broken_disk)
    keras.config.disable_traceback_filtering()
    sequence = sequence_of(workers=workers)
    try:
        with pytest.raises(Exception, match="the disk is on fire") as caught:
            Witness(source).model.fit(sequence, **ORDERED)
    finally:
        keras.config.enable_traceback_filtering()
    shown = "".join(traceback.format_exception(caught.value))
    assert "OSError: the disk is on fire" in shown
    assert "in read_from_a_broken_disk" in shown
    assert isinstance(caught.value, OSError) or keras.backend.backend() == "tensorflow"
    assert eventually(lambda: not threads())


EXIT_IN_MID_PASS = """
import sys, threading
import keras, numpy as np
from keras_loader_bench.loaders.audit.batches.recording import recording_model
from keras_loader_bench.loaders.sequence.lazy_sequence import LazySequence
from keras_loader_bench.loaders.sources.image_source import ImageSource

class Exit(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if batch == 2:
            print(sum(thread.name.startswith("read-ahead") for thread in threading.enumerate()))
            sys.exit(7)

sequence = LazySequence(ImageSource.open(sys.argv[1]), np.arange(230), batch_size=2, num_workers=4)
model = recording_model(lambda arrays: None)
model.fit(sequence, shuffle=False, verbose=0, callbacks=[Exit()])
"""


@pytest.mark.long
def test_a_process_ends_in_the_middle_of_a_pass(source):
    done = subprocess.run(
        [sys.executable, "-c", EXIT_IN_MID_PASS, str(source.folder)],
        cwd=PROJECT,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 7
    assert int(done.stdout) > 0
    assert "Traceback" not in done.stderr
