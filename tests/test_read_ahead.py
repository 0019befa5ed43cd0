"""Reading ahead: the same batches in the same order, within a bound, and no thread left behind."""

import copy
import gc
import os
import pickle
import random
import subprocess
import sys
import threading
import time
import traceback
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import keras
import numpy as np
import pytest
from conftest import PROJECT

from loaders import sequence_loader
from loaders.audit.recording import recording_model
from loaders.contract import LoaderOptions, make_batch
from loaders.read_ahead import THREAD_NAME, ReadAhead
from loaders.sequence_loader import LazySequence, SequenceLoader

ROWS = np.random.default_rng(5).permutation(230)
ORDERED = {"shuffle": False, "verbose": 0}

number_of_workers = pytest.mark.parametrize("workers", [0, 1, 2, 4])


def threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith(THREAD_NAME)]


def eventually(condition) -> bool:
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.001)
    return condition()


@pytest.fixture(autouse=True)
def no_thread_stays():
    """Every law is also this one, once its sequences are closed or collected."""
    yield
    if threads():
        gc.collect()
    assert eventually(lambda: not threads())


@pytest.fixture
def sequence_of(source):
    """A maker of sequences that are closed when the test ends, as TensorFlow keeps them alive."""
    made = []

    def make(rows=ROWS, *, workers=4, batch_size=8, **options):
        made.append(
            LazySequence(source, rows, batch_size=batch_size, num_workers=workers, **options)
        )
        return made[-1]

    yield make
    for sequence in made:
        sequence.close()


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


class Reader:
    """Reads batch i as an array full of i, and knows which of its arrays are still alive."""

    def __init__(self) -> None:
        self.by_thread: dict[int, str] = {}
        self.most_alive = 0
        self.held: dict[int, threading.Event] = {}
        """Batches that are not delivered before their event."""
        self._alive: list[weakref.ref] = []
        self._lock = threading.Lock()

    def __call__(self, index):
        batch = np.full((2, 3), index)
        with self._lock:
            self.by_thread[index] = threading.current_thread().name
            self._alive.append(weakref.ref(batch))
            self.most_alive = max(self.most_alive, self.alive())
        if index in self.held:
            assert self.held[index].wait(10)
        return batch, batch

    def alive(self) -> int:
        return sum(reference() is not None for reference in self._alive)


def reading_ahead(read, num_batches: int, *, workers: int, prefetch: int):
    return closing(ReadAhead(read, num_batches, num_workers=workers, prefetch_batches=prefetch))


class InterruptedFitError(Exception):
    pass


class Interrupt(keras.callbacks.Callback):
    """Ends `fit` in the middle of an epoch, without Keras noticing."""

    def on_train_batch_end(self, batch, logs=None):
        if batch == 2:
            raise InterruptedFitError


# Laws of Keras' `fit`, `evaluate` and `predict`


@pytest.mark.each_backend
@number_of_workers
def test_every_epoch_of_fit_is_given_the_rows_in_order(source, sequence_of, workers):
    witness = Witness(source)
    witness.model.fit(sequence_of(workers=workers), epochs=3, **ORDERED)
    assert witness.passes() == [ROWS.tolist()] * 3


@pytest.mark.each_backend
@pytest.mark.parametrize("batch_size", [1, 200, 1000])
def test_fit_is_given_the_rows_in_order_whatever_the_batch_size(source, sequence_of, batch_size):
    witness = Witness(source)
    witness.model.fit(sequence_of(ROWS[:30], batch_size=batch_size), epochs=2, **ORDERED)
    assert witness.passes(30) == [ROWS[:30].tolist()] * 2


@pytest.mark.each_backend
@number_of_workers
def test_where_fit_shuffles_batches_each_row_still_comes_once_an_epoch(
    source, sequence_of, workers
):
    witness = Witness(source)
    witness.model.fit(sequence_of(workers=workers), epochs=3, shuffle=True, verbose=0)
    assert [sorted(rows) for rows in witness.passes()] == [list(range(230))] * 3
    assert ROWS.tolist() not in witness.passes()


@pytest.mark.each_backend
def test_the_first_evaluate_is_given_the_rows_in_order(source, sequence_of):
    witness = Witness(source)
    witness.model.evaluate(sequence_of(), verbose=0)
    assert witness.passes() == [ROWS.tolist()]


@pytest.mark.each_backend
def test_predict_returns_the_rows_in_order(source, sequence_of):
    witness = Witness(source)
    sequence = sequence_of()
    predicted = witness.model.predict(sequence, verbose=0)
    x, _ = make_batch(source, ROWS, "float32")
    assert witness.passes() == [ROWS.tolist()]
    np.testing.assert_allclose(predicted, witness.model.predict(x, verbose=0), rtol=1e-4, atol=1e-6)


@pytest.mark.each_backend
def test_steps_per_epoch_cut_a_pass_and_lose_nothing(source, sequence_of):
    witness = Witness(source)
    sequence = sequence_of(ROWS[:120])  # 15 batches: two passes in six epochs of 5 steps
    witness.model.fit(sequence, epochs=6, steps_per_epoch=5, **ORDERED)
    assert witness.passes(120) == [ROWS[:120].tolist()] * 2


@pytest.mark.each_backend
def test_training_and_validation_are_each_given_their_rows(source, sequence_of):
    witness = Witness(source)
    train, validation = sequence_of(ROWS[:150]), sequence_of(ROWS[150:])
    witness.model.fit(train, epochs=3, validation_data=validation, **ORDERED)
    assert witness.passes() == [ROWS.tolist()] * 3


@pytest.mark.each_backend
def test_one_sequence_can_be_trained_on_and_validated_on(source, sequence_of):
    witness = Witness(source)
    sequence = sequence_of()
    witness.model.fit(sequence, epochs=2, validation_data=sequence, **ORDERED)
    assert witness.passes() == [ROWS.tolist()] * 4


@pytest.mark.each_backend
def test_a_loader_delivers_the_rows_of_each_fit(source):
    witness = Witness(source)
    with SequenceLoader(source, LoaderOptions(batch_size=8, num_workers=3)) as loader:
        for rows in (ROWS, ROWS[::-1], ROWS[:7]):
            witness.model.fit(**loader.fit_args(rows), **ORDERED)
    assert witness.rows == [*ROWS, *ROWS[::-1], *ROWS[:7]]


@pytest.mark.each_backend
def test_most_batches_of_a_fit_are_read_ahead(source, sequence_of, monkeypatch):
    readers = []

    def read(*args):
        readers.append(threading.current_thread().name)
        time.sleep(0.002)  # as slow as a step: the threads get their turn
        return make_batch(*args)

    monkeypatch.setattr(sequence_loader, "make_batch", read)
    Witness(source).model.fit(sequence_of(batch_size=4), **ORDERED)
    assert sum(name.startswith(THREAD_NAME) for name in readers) > 29  # of 58


@pytest.mark.each_backend
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("steps", [None, 5])
def test_no_thread_is_left_by_a_fit(source, sequence_of, shuffle, steps):
    sequence = sequence_of(ROWS[:120])  # 15 batches
    for _ in range(3):
        Witness(source).model.fit(
            sequence, epochs=1, steps_per_epoch=steps, shuffle=shuffle, verbose=0
        )
        assert eventually(lambda: not threads())


@pytest.mark.each_backend
def test_no_thread_is_left_by_a_fit_that_broke_off_once_the_sequence_is_closed(source, sequence_of):
    sequence = sequence_of(batch_size=2)
    with pytest.raises(InterruptedFitError):
        Witness(source).model.fit(sequence, callbacks=[Interrupt()], **ORDERED)
    assert threads()
    sequence.close()
    assert eventually(lambda: not threads())


@pytest.mark.each_backend
@pytest.mark.parametrize("workers", [0, 4])
def test_an_error_while_reading_reaches_the_caller_of_fit(
    source, sequence_of, monkeypatch, workers
):
    def read_from_a_broken_disk(source, rows, pixels):
        if ROWS[100] in rows:
            raise OSError("the disk is on fire")
        return make_batch(source, rows, pixels)

    monkeypatch.setattr(sequence_loader, "make_batch", read_from_a_broken_disk)
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
from loaders.audit.recording import recording_model
from loaders.sequence_loader import LazySequence
from loaders.source import ImageSource

class Exit(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if batch == 2:
            print(sum(thread.name.startswith("read-ahead") for thread in threading.enumerate()))
            sys.exit(7)

sequence = LazySequence(ImageSource.open(sys.argv[1]), np.arange(230), batch_size=2, num_workers=4)
model = recording_model(lambda arrays: None)
model.fit(sequence, shuffle=False, verbose=0, callbacks=[Exit()])
"""


@pytest.mark.each_backend
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


@pytest.mark.parametrize("number", [0, 1, 4, 16])
def test_keras_is_told_of_one_worker_whatever_is_set(sequence_of, number):
    sequence = sequence_of(workers=2)
    sequence.workers = number
    sequence.use_multiprocessing = False
    assert (sequence.workers, sequence.use_multiprocessing) == (1, False)
    assert sequence.num_workers == number


def test_workers_that_are_set_later_read_ahead(sequence_of):
    sequence = sequence_of(workers=0)
    batches = [x.tobytes() for x, _ in sequence]
    sequence.workers = 3
    assert sequence[0][0].tobytes() == batches[0]
    assert 1 <= len(threads()) <= 3
    assert [x.tobytes() for x, _ in sequence] == batches


@pytest.mark.parametrize("value", [-1, 1.5, "4", None])
def test_a_number_of_workers_that_cannot_be_is_refused(sequence_of, value):
    sequence = sequence_of()
    with pytest.raises(ValueError, match=f"`workers` must be an integer.*got {value!r}"):
        sequence.workers = value
    assert sequence.num_workers == 4


def test_processes_are_refused_with_a_remedy(sequence_of):
    with pytest.raises(ValueError, match=r"`use_multiprocessing` must be False.*`workers=N`"):
        sequence_of().use_multiprocessing = True


# Laws of the sequence


def test_without_workers_no_thread_is_started(sequence_of):
    for _ in sequence_of(workers=0):
        assert not threads()


def test_rows_that_are_replaced_in_mid_pass_count_at_once(source, sequence_of):
    sequence = sequence_of()
    for start in range(6):
        for i in range(start):
            _ = sequence[i]
        rows = np.roll(ROWS, start)
        sequence.rows = rows
        x, y = sequence[start]  # was read ahead, of the rows before
        expected = make_batch(source, rows[start * 8 : start * 8 + 8], "float32")
        assert (x.tobytes(), y.tobytes()) == tuple(part.tobytes() for part in expected)


def test_rows_may_be_replaced_while_other_threads_read(source, sequence_of):
    orders = [np.roll(ROWS, 8 * shift) for shift in range(20)]
    sequence = sequence_of(pixels="uint8")
    possible = {make_batch(source, rows[:8], "uint8")[0].tobytes() for rows in orders}
    with ThreadPoolExecutor(3) as pool:
        reading = [pool.submit(lambda: [sequence[i][0] for i in [0, 1, 2] * 100]) for _ in "abc"]
        for rows in orders:
            sequence.rows = rows
            assert sequence[0][0].tobytes() == make_batch(source, rows[:8], "uint8")[0].tobytes()
        for future in reading:
            assert {x.tobytes() for x in future.result(timeout=30)[::3]} <= possible


def test_a_closed_sequence_delivers_without_threads(sequence_of):
    sequence = sequence_of()
    batches = [x.tobytes() for x, _ in sequence]
    _ = sequence[0]
    assert threads()
    sequence.close()
    sequence.rows = sequence.rows
    for i, batch in enumerate(batches):
        assert not threads()
        assert sequence[i][0].tobytes() == batch


def test_a_collected_sequence_ends_its_threads(source):
    sequence = LazySequence(source, ROWS, batch_size=8, num_workers=4)
    collected = weakref.ref(sequence)
    _ = sequence[0]
    assert threads()
    del sequence
    assert eventually(lambda: collected() is None)
    assert eventually(lambda: not threads())


@pytest.mark.parametrize("copied", [copy.copy, lambda it: pickle.loads(pickle.dumps(it))])
@number_of_workers
def test_copies_deliver_the_same_and_start_with_no_threads(sequence_of, copied, workers):
    sequence = sequence_of(workers=workers)
    _ = sequence[0], sequence[1]
    running = len(threads())
    other = copied(sequence)
    assert len(threads()) == running
    assert other.num_workers == workers
    assert [x.tobytes() for x, _ in other] == [x.tobytes() for x, _ in sequence]


@pytest.mark.parametrize("read_before", [0, 3])
def test_a_pickle_holds_no_image(sequence_of, read_before):
    sequence = sequence_of(ROWS[:100], workers=2)
    for i in range(read_before):
        _ = sequence[i]
    assert len(pickle.dumps(sequence)) < 3072  # bytes of one image


# Laws of reading ahead, whatever is read


def test_the_following_batches_are_read_before_they_are_asked_for():
    read = Reader()
    with reading_ahead(read, 100, workers=2, prefetch=5) as batches:
        _ = batches[0]
        assert eventually(lambda: len(read.by_thread) == 6)
        assert all(read.by_thread[i].startswith(THREAD_NAME) for i in range(1, 6))


@pytest.mark.parametrize(("workers", "prefetch", "bound"), [(1, 1, 1), (2, 5, 5), (4, 1, 4)])
@pytest.mark.parametrize("asks", ["in sequence", "at random", "again and again"])
def test_never_more_batches_are_ahead_than_allowed(workers, prefetch, bound, asks):
    indices = {
        "in sequence": [*range(40)],
        "at random": random.Random(2).sample(range(40), 40),
        "again and again": [i for start in range(8) for i in range(start)],
    }[asks]
    read = Reader()
    with reading_ahead(read, 40, workers=workers, prefetch=prefetch) as batches:
        for number, index in enumerate(indices):
            if number % 4 == 0:
                time.sleep(0.002)  # lets the threads get as far as they may
            assert batches[index][0][0, 0] == index
            assert read.alive() <= bound
    assert read.most_alive <= bound + 1  # the one that is being delivered
    assert read.alive() == 0


def test_where_batches_never_follow_each_other_none_is_read_ahead():
    read = Reader()
    with reading_ahead(read, 40, workers=4, prefetch=4) as batches:
        for index in range(39, 0, -1):
            assert batches[index][0][0, 0] == index
    assert not any(name.startswith(THREAD_NAME) for name in read.by_thread.values())


def test_a_pass_that_begins_in_the_middle_is_read_ahead():
    read = Reader()
    with reading_ahead(read, 40, workers=4, prefetch=4) as batches:
        _ = batches[20], batches[21]
        assert eventually(lambda: sorted(read.by_thread) == [*range(20, 26)])


def test_a_batch_that_no_thread_has_begun_is_read_by_the_one_that_asks():
    read = Reader()
    read.held[1] = threading.Event()
    with reading_ahead(read, 10, workers=1, prefetch=3) as batches:
        _ = batches[0]
        assert eventually(lambda: 1 in read.by_thread)
        assert batches[2][0][0, 0] == 2
        assert read.by_thread[2] == threading.current_thread().name
        read.held[1].set()
        assert batches[1][0][0, 0] == 1


def test_no_batch_is_given_to_two_who_ask():
    with (
        reading_ahead(Reader(), 50, workers=3, prefetch=6) as batches,
        ThreadPoolExecutor(6) as pool,
    ):
        indices = [index for index in range(50) for _ in range(4)]
        delivered = list(pool.map(batches.__getitem__, indices))
    assert [x[0, 0] for x, _ in delivered] == indices
    assert len({id(x) for x, _ in delivered}) == 200


def test_an_error_comes_to_the_one_who_asks_for_that_batch():
    def read(index):
        if index == 3:
            raise OSError(f"no batch {index}")
        return Reader()(index)

    with reading_ahead(read, 10, workers=2, prefetch=4) as batches:
        for index in range(3):
            assert batches[index][0][0, 0] == index
        with pytest.raises(OSError, match="no batch 3") as caught:
            _ = batches[3]
        assert caught.traceback[-1].name == "read"
        assert not threads()
        assert batches[4][0][0, 0] == 4


def test_the_last_batch_of_a_pass_ends_the_threads():
    with reading_ahead(Reader(), 10, workers=4, prefetch=4) as batches:
        for _ in range(3):
            assert batches[0][0][0, 0] == 0
            assert threads()
            for index in range(1, 10):
                assert batches[index][0][0, 0] == index
            assert not threads()


def test_closing_waits_for_the_batch_that_is_being_read():
    read = Reader()
    read.held[1] = threading.Event()
    with reading_ahead(read, 10, workers=2, prefetch=8) as batches:
        _ = batches[0]
        assert eventually(lambda: 1 in read.by_thread)
        close = threading.Thread(target=batches.close)
        close.start()
        close.join(0.05)
        assert close.is_alive()
        read.held[1].set()
        close.join(10)
        assert not threads()


FORK = """
import os, signal, time
from loaders.read_ahead import ReadAhead

begun, go_on = [], []

def read(index):
    begun.append(index)
    while index > 2 and not go_on:
        time.sleep(0.001)
    return index

batches = ReadAhead(read, 50, num_workers=2, prefetch_batches=8)
assert [batches[i] for i in range(3)] == [0, 1, 2]
while not {3, 4} <= {*begun}:
    time.sleep(0.001)
child = os.fork()  # while both threads are reading
signal.alarm(20)  # rather than hang
go_on.append(True)
assert [batches[i] for i in range(3, 50)] == [*range(3, 50)]
assert [batches[i] for i in range(10)] == [*range(10)]
if child:
    assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_starts_with_no_threads_and_delivers():
    done = subprocess.run([sys.executable, "-c", FORK], cwd=PROJECT, timeout=30, check=False)
    assert done.returncode == 0
