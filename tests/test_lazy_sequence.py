"""A lazy sequence delivers its rows whoever asks, and does not let Keras read them in parallel."""

import copy
import pickle
import time
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import reading_ahead as kit
from reading_ahead import ROWS, eventually, threads

from keras_loader_bench.loaders.bridges.read_ahead import WORTH_IT_S
from keras_loader_bench.loaders.contract import make_batch
from keras_loader_bench.loaders.sequence import buffers
from keras_loader_bench.loaders.sequence.lazy_sequence import LazySequence

no_thread_stays = pytest.fixture(autouse=True)(kit.no_thread_stays)
sequence_of = pytest.fixture(kit.maker_of_sequences)


@pytest.mark.parametrize("number", [None, 0, 1, 4, 16])
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


@pytest.mark.parametrize("value", [-1, 1.5, "4"])
def test_a_number_of_workers_that_cannot_be_is_refused(sequence_of, value):
    sequence = sequence_of()
    with pytest.raises(ValueError, match=f"`workers` must be an integer.*got {value!r}"):
        sequence.workers = value
    assert sequence.num_workers == 4


def test_processes_are_refused_with_a_remedy(sequence_of):
    with pytest.raises(ValueError, match=r"`use_multiprocessing` must be False.*`workers=N`"):
        sequence_of().use_multiprocessing = True


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
@pytest.mark.parametrize("workers", [0, 1, 2, 4])
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


@pytest.mark.parametrize("pixels", ["float32", "uint8"])
@pytest.mark.parametrize("workers", [0, None, 2, 9])
def test_all_memory_of_a_pass_is_taken_with_its_first_batch(
    sequence_of, monkeypatch, workers, pixels
):
    """Also where a thread begins to read ahead in its middle."""
    made = []
    new = buffers._Buffer
    monkeypatch.setattr(buffers, "_Buffer", lambda *kind: (made.append(kind), new(*kind))[1])
    sequence = sequence_of(workers=workers, pixels=pixels)
    batch = sequence[0]
    taken = len(made)
    assert taken >= 3 if pixels == "float32" else taken >= 2
    for index in range(1, len(sequence)):
        if index > 10:
            time.sleep(3 * WORTH_IT_S)
        batch = sequence[index]  # the one before is gone when the next is there
    assert len(batch[0]) == 230 % 8
    assert bool(threads()) is False
    assert len(made) == taken
