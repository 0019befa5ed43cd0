"""Reading ahead, whatever is read: in order, within a bound, and no thread left behind."""

import os
import random
import subprocess
import sys
import threading
import time
import weakref
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import pytest
import reading_ahead as kit
from conftest import PROJECT
from reading_ahead import eventually, threads

from keras_loader_bench.loaders.bridges.read_ahead import (
    ENOUGH_AHEAD,
    THREAD_NAME,
    WORTH_IT_S,
    ReadAhead,
)

no_thread_stays = pytest.fixture(autouse=True)(kit.no_thread_stays)


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


def reading_ahead(read, num_batches: int, *, workers: int | None, prefetch: int):
    return closing(ReadAhead(read, num_batches, num_workers=workers, prefetch_batches=prefetch))


def test_the_following_batches_are_read_before_they_are_asked_for():
    read = Reader()
    with reading_ahead(read, 100, workers=2, prefetch=5) as batches:
        _ = batches[0]
        assert eventually(lambda: len(read.by_thread) == 6)
        assert all(read.by_thread[i].startswith(THREAD_NAME) for i in range(1, 6))


@pytest.mark.parametrize("pause", [0, 5 * WORTH_IT_S])
def test_left_to_itself_it_reads_ahead_where_steps_take_their_time(pause):
    read = Reader()
    with reading_ahead(read, 60, workers=None, prefetch=4) as batches:
        for index in range(40):
            assert batches[index][0][0, 0] == index
            time.sleep(pause)
        ahead = sum(name.startswith(THREAD_NAME) for name in read.by_thread.values())
        assert ahead == 0 if pause == 0 else ahead > 30


def test_left_to_itself_it_reads_nothing_ahead_where_only_reading_takes_its_time():
    """There is no step that could hide it, and two who compute share the cores."""

    def read(index):
        time.sleep(3 * WORTH_IT_S)
        return index

    with reading_ahead(read, 60, workers=None, prefetch=4) as batches:
        for index in range(40):
            assert batches[index] == index
            assert not threads()


def test_left_to_itself_it_stops_when_steps_no_longer_take_their_time():
    with reading_ahead(Reader(), 2000, workers=None, prefetch=4) as batches:
        for index in range(20):
            _ = batches[index]
            time.sleep(5 * WORTH_IT_S)
        assert threads()
        for index in range(20, 1500):
            assert batches[index][0][0, 0] == index
        assert not threads()


def test_left_to_itself_it_is_never_far_ahead():
    """Each batch more is memory that comes and goes with the thread."""
    read = Reader()
    with reading_ahead(read, 60, workers=None, prefetch=8) as batches:
        for index in range(40):
            _ = batches[index]
            time.sleep(3 * WORTH_IT_S)
            assert max(read.by_thread) <= index + ENOUGH_AHEAD


def test_a_single_pause_starts_no_thread():
    with reading_ahead(Reader(), 2000, workers=None, prefetch=4) as batches:
        for index in range(1000):
            _ = batches[index]
            if index % 200 == 100:
                time.sleep(0.05)
            assert not threads()


def test_a_thread_that_is_in_time_lets_the_one_who_asks_go_first():
    """Both need Python's lock, and the one who has just been given a batch is the busy one."""
    begun: dict[int, float] = {}

    def read(index):
        begun[index] = time.perf_counter()
        return index

    asked: dict[int, float] = {}
    with reading_ahead(read, 60, workers=1, prefetch=2) as batches:
        for index in range(60):
            asked[index] = time.perf_counter()
            assert batches[index] == index
            time.sleep(0.004)
    waits = [begun[i] - asked[i - 2] for i in range(30, 60)]
    assert np.median(waits) > 0.0008  # a quarter of the time between batches


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
from keras_loader_bench.loaders.bridges.read_ahead import ReadAhead

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
