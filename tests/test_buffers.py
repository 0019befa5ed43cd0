"""Buffers are used again, and never while anybody can still see what is in them."""

import gc
import importlib.util
import os
import subprocess
import sys
import threading
from itertools import count

import numpy as np
import pytest
from conftest import PROJECT

from keras_loader_bench.loaders.sequence import buffers
from keras_loader_bench.loaders.sequence.buffers import ALIGNMENT_BYTES, BufferPool

SHAPE = (64, 32, 32, 3)
NUMBERS = count()


def address(array) -> int:
    return array.__array_interface__["data"][0]


def test_an_array_is_what_was_asked_for():
    array = BufferPool(2).empty(SHAPE, np.float32)
    assert (array.shape, array.dtype) == (SHAPE, np.float32)
    assert array.flags.c_contiguous
    assert array.flags.writeable
    assert address(array) % ALIGNMENT_BYTES == 0


def test_memory_is_used_again_when_its_array_is_gone():
    pool = BufferPool(2)
    first = pool.empty(SHAPE, np.float32)
    where = address(first)
    second = pool.empty(SHAPE, np.float32)
    assert address(second) != where
    del first
    assert address(pool.empty(SHAPE, np.float32)) == where


@pytest.mark.parametrize(
    "kept",
    [
        lambda array: array[3:5],
        lambda array: array.reshape(-1)[4:].view(np.uint8),
        lambda array: memoryview(array)[1:],
        lambda array: np.asarray(memoryview(array)),
        lambda array: [array],
    ],
    ids=["a slice", "a view of a view", "a memoryview", "an array of a memoryview", "itself"],
)
def test_whoever_keeps_a_part_keeps_its_contents(kept):
    pool = BufferPool(8)
    array = pool.empty(SHAPE, np.float32)
    array[:] = 1
    part = kept(array)
    del array
    for _ in range(10):
        pool.empty(SHAPE, np.float32)[:] = 2
    flat = np.asarray(part).reshape(-1)
    assert set(np.unique(flat.view(np.float32) if flat.dtype == np.uint8 else flat)) == {1}


@pytest.mark.parametrize(
    ("shape", "dtype"), [((64, 32, 32, 1), np.float32), (SHAPE, np.int32)], ids=["shape", "dtype"]
)
def test_memory_is_used_again_for_the_same_shape_and_dtype_only(shape, dtype):
    pool = BufferPool(4)
    where = address(pool.empty(SHAPE, np.float32))
    other = pool.empty(shape, dtype)
    assert (other.shape, other.dtype) == (shape, dtype)
    assert address(other) != where
    assert address(pool.empty(SHAPE, "float32")) == where


def test_what_was_lent_last_is_lent_first():
    pool = BufferPool(4)
    arrays = [pool.empty(SHAPE, np.uint8) for _ in range(4)]
    last = address(arrays[-1])
    arrays.clear()
    assert [address(pool.empty(SHAPE, np.uint8)) for _ in range(3)] == [last] * 3


def test_no_more_memory_is_kept_than_allowed():
    pool = BufferPool(3)
    arrays = [pool.empty(SHAPE, np.uint8) for _ in range(10)]
    last = {address(array) for array in arrays[-3:]}
    assert len(pool._buffers) == 3
    arrays.clear()
    again = [pool.empty(SHAPE, np.uint8) for _ in range(3)]
    assert {address(array) for array in again} == last


def test_what_is_reserved_is_taken_at_once_and_only_once():
    pool = BufferPool(8)
    lent = pool.empty(SHAPE, np.float32)
    for _ in range(2):
        pool.reserve(SHAPE, np.float32, 3)
        pool.reserve(SHAPE, np.uint8, 1)
    assert len(pool._buffers) == 4
    places = {address(buffer.array) for buffer in pool._buffers}
    arrays = [lent, *(pool.empty(SHAPE, dtype) for dtype in (np.float32, np.float32, np.uint8))]
    assert {address(array) for array in arrays} == places
    assert len(pool._buffers) == 4


def test_no_more_is_reserved_than_is_kept():
    pool = BufferPool(2)
    pool.reserve(SHAPE, np.uint8, 5)
    assert len(pool._buffers) == 2


def test_a_pool_may_go_before_its_arrays():
    pool = BufferPool(2)
    array = pool.empty(SHAPE, np.float32)
    array[:] = 3
    del pool
    gc.collect()
    assert (array == 3).all()


def test_threads_never_share_a_buffer():
    pool = BufferPool(4)
    wrong = []

    def use(number: int) -> None:
        for _ in range(2000):
            array = pool.empty((500,), np.int64)
            array[:] = number
            if not (array == number).all():
                wrong.append(number)

    threads = [threading.Thread(target=use, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


FORK = """
import os, signal, threading
import numpy as np
from keras_loader_bench.loaders.sequence.buffers import BufferPool, new_memory

taking, go_on = threading.Event(), threading.Event()

def memory(num_bytes):
    taking.set()
    go_on.wait()
    return new_memory(num_bytes)

pool = BufferPool(4, memory)
thread = threading.Thread(target=pool.empty, args=((2,), np.uint8))
thread.start()
taking.wait()
child = os.fork()  # while the thread holds the lock
signal.alarm(20)  # rather than hang
go_on.set()
assert pool.empty((2,), np.uint8).shape == (2,)
if child:
    thread.join()
    assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_a_forked_process_waits_for_no_thread_of_its_parent():
    done = subprocess.run([sys.executable, "-c", FORK], cwd=PROJECT, timeout=30, check=False)
    assert done.returncode == 0


def test_references_tell_here():
    assert buffers.REFERENCES_TELL


@pytest.mark.parametrize(
    "references",
    [lambda it: 2**32 - 1, lambda it: next(NUMBERS)],
    ids=["always the same", "always another"],
)
def test_where_references_do_not_tell_no_memory_is_used_again(references, monkeypatch):
    monkeypatch.setattr(sys, "getrefcount", references)
    spec = importlib.util.spec_from_file_location("buffers_elsewhere", buffers.__file__)
    elsewhere = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(elsewhere)
    assert not elsewhere.REFERENCES_TELL
    pool = elsewhere.BufferPool(4)
    pool.reserve(SHAPE, np.float32, 3)
    arrays = [pool.empty(SHAPE, np.float32) for _ in range(10)]
    assert len({address(array) for array in arrays}) == 10
    assert {(array.shape, array.dtype) for array in arrays} == {(SHAPE, np.dtype(np.float32))}
    assert not pool._buffers
