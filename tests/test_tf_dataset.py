"""A sequence's tf.data.Dataset: how far it reads ahead, what it keeps, when it is made again."""

import gc
import time
import weakref

import keras
import numpy as np
import pytest
from reading_ahead import ROWS, eventually

from keras_loader_bench.loaders import bridge
from keras_loader_bench.loaders.sequence.lazy_sequence import LazySequence

if keras.backend.backend() != "tensorflow":
    pytest.skip("needs TensorFlow's backend", allow_module_level=True)

import tensorflow as tf

from keras_loader_bench.loaders.bridges import tf_bridge
from keras_loader_bench.loaders.bridges.mapped_tensors import MappedSource
from keras_loader_bench.loaders.bridges.tf_bridge import AHEAD

PREFETCH = 3


@pytest.fixture
def sequence(source):
    rows = np.resize(ROWS.astype(np.int32), 2_000)
    return LazySequence(source, rows, batch_size=1, prefetch_batches=PREFETCH)


class Own(LazySequence):
    """Has a `__getitem__` of its own, which is called for every batch."""

    made = 0

    def __getitem__(self, index):
        Own.made += 1
        return super().__getitem__(index)


def ahead_after(dataset, asked, made) -> int:
    """Return how many batches are made but not asked for when a fast consumer pauses."""
    iterator = iter(dataset)
    for _ in range(asked):
        next(iterator)
    time.sleep(0.2)
    return made() - asked


def test_it_is_no_further_ahead_after_a_long_pass(sequence, monkeypatch):
    made = []
    batch = MappedSource.batch

    def counted(self, rows, pixels):
        with tf.control_dependencies([tf.numpy_function(made.append, [rows], [])]):
            return batch(self, tf.identity(rows), pixels)

    monkeypatch.setattr(MappedSource, "batch", counted)
    ahead = ahead_after(sequence.as_tf_dataset(), 1_500, lambda: len(made))
    assert 0 < ahead <= PREFETCH + 2  # one waits for room, one is being made


def test_the_step_has_a_head_start(sequence, monkeypatch):
    """What a batch makes room for is not begun in the moment in which it is taken."""
    begun = []
    batch = MappedSource.batch

    def timed(self, rows, pixels):
        call = tf.numpy_function(lambda _: begun.append(time.perf_counter()), [rows], [])
        with tf.control_dependencies([call]):
            return batch(self, tf.identity(rows), pixels)

    monkeypatch.setattr(MappedSource, "batch", timed)
    monkeypatch.setattr(tf_bridge, "HEAD_START_US", 20_000)
    iterator = iter(sequence.as_tf_dataset())
    waited = []
    for _ in range(5):
        next(iterator)
        time.sleep(0.2)  # all that may be ahead is
        there = len(begun)
        taken = time.perf_counter()
        next(iterator)
        assert eventually(lambda there=there: len(begun) > there)
        waited.append(begun[there] - taken)
    assert min(waited) >= 0.02


@pytest.mark.parametrize("microseconds", [0, 2_000])
def test_the_head_start_changes_no_batch(source, monkeypatch, microseconds):
    monkeypatch.setattr(tf_bridge, "HEAD_START_US", microseconds)
    sequence = LazySequence(source, ROWS, batch_size=16, prefetch_batches=1)
    for (x, y), (wanted_x, wanted_y) in zip(bridge(sequence), sequence, strict=True):
        assert np.array_equal(x, wanted_x)
        assert np.array_equal(y, wanted_y)


def test_a_dataset_that_python_is_called_for_is_a_few_batches_ahead(source):
    rows = np.resize(ROWS, 400)
    dataset = Own(source, rows, batch_size=1).as_tf_dataset()
    Own.made = 0
    assert 0 < ahead_after(dataset, 200, lambda: Own.made) <= AHEAD + 2


def test_it_is_made_once_for_rows_of_a_number(sequence):
    dataset = sequence.as_tf_dataset()
    sequence.rows = sequence.rows[::-1].copy()
    assert sequence.as_tf_dataset() is dataset
    sequence.rows = sequence.rows[:100]
    shorter = sequence.as_tf_dataset()
    assert (int(dataset.cardinality()), int(shorter.cardinality())) == (2_000, 100)
    sequence.workers = 2
    assert sequence.as_tf_dataset() is not shorter


def test_a_pass_with_another_number_of_rows_is_refused(sequence):
    dataset = sequence.as_tf_dataset()
    sequence.rows = sequence.rows[:1_999]
    with pytest.raises(tf.errors.OpError, match=r"as many rows as .* 2000, got 1999\. Make"):
        next(iter(dataset))


@pytest.mark.parametrize("kind", [LazySequence, Own])
def test_nothing_outlives_it(source, kind):
    """TensorFlow keeps the functions that graphs call: not what they refer to."""
    sequence = kind(source, ROWS, batch_size=8)
    dataset = bridge(sequence)
    assert len(list(dataset)) == len(sequence)
    alive = weakref.ref(sequence)
    del sequence
    gc.collect()
    iterator = iter(dataset.take(5))
    del dataset
    gc.collect()
    assert len(list(iterator)) == 5  # an iterator keeps all that it needs
    del iterator
    end = time.monotonic() + 5
    while alive() is not None and time.monotonic() < end:  # TensorFlow's threads end in their time
        gc.collect()
        time.sleep(0.05)
    assert alive() is None
