"""Buffers are used again, and never while anybody can still see what is in them."""

import gc
import threading

import numpy as np
import pytest

from loaders.buffers import ALIGNMENT_BYTES, BufferPool

SHAPE = (64, 32, 32, 3)


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
    assert address(pool.empty(SHAPE, np.float32)) != where
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


def test_a_smaller_batch_may_be_in_a_larger_ones_memory_but_not_the_other_way_round():
    pool = BufferPool(4)
    where = address(pool.empty((64,), np.float32))
    small = pool.empty((40,), np.float32)
    assert address(small) == where
    del small
    assert address(pool.empty((65 + ALIGNMENT_BYTES,), np.float32)) != where
    assert address(pool.empty((4,), np.float32)) != where  # it would waste most of it


def test_no_more_memory_is_kept_than_allowed():
    pool = BufferPool(3)
    arrays = [pool.empty(SHAPE, np.uint8) for _ in range(10)]
    places = {address(array) for array in arrays}
    arrays.clear()
    again = [pool.empty(SHAPE, np.uint8) for _ in range(3)]
    assert {address(array) for array in again} <= places
    assert len(pool._free) == 0


def test_what_is_reserved_is_taken_at_once_and_only_once():
    pool = BufferPool(8)
    lent = pool.empty(SHAPE, np.float32)
    for _ in range(2):
        pool.reserve(SHAPE, np.float32, 3)
        pool.reserve(SHAPE, np.uint8, 1)
    assert len(pool._free) == 3
    places = {id(memory) for memory, _ in pool._free}
    arrays = [lent, *(pool.empty(SHAPE, dtype) for dtype in (np.float32, np.float32, np.uint8))]
    assert {id(loan.memory[0]) for loan in pool._lent.values()} >= places
    assert len({address(array) for array in arrays}) == 4
    assert pool._free == []


def test_no_more_is_reserved_than_is_kept():
    pool = BufferPool(2)
    pool.reserve(SHAPE, np.uint8, 5)
    assert len(pool._free) == 2


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
