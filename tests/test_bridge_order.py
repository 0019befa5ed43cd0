"""The order of batches, `class_weight` and changing lengths: as without the bridge."""

import threading
import time

import keras
import numpy as np
import pytest
import reading_ahead as kit
from reading_ahead import ROWS

from keras_loader_bench.loaders import bridge
from keras_loader_bench.loaders.audit.batches.recording import (
    record_evaluate,
    record_predict,
    recording_model,
)
from keras_loader_bench.loaders.bridges.read_ahead import THREAD_NAME
from keras_loader_bench.loaders.sequence.lazy_sequence import LazySequence

BACKEND = keras.backend.backend()

pytestmark = [
    pytest.mark.each_backend,
    # Keras says so of every `tf.data.Dataset` and `DataLoader`: these shuffle themselves.
    pytest.mark.filterwarnings("ignore:`shuffle=True` was passed, but will be ignored"),
    # Keras takes the length before the first epoch for that of all of them.
    pytest.mark.filterwarnings("ignore:Your input ran out of data"),
]

no_thread_stays = pytest.fixture(autouse=True)(kit.no_thread_stays)
number_of_workers = pytest.mark.parametrize("workers", [1, 3])


class Numbers(keras.utils.PyDataset):
    """Batch i is full of i; its label is whether i is odd. Each whole pass has the next length."""

    def __init__(self, lengths=(12,), **options) -> None:
        super().__init__(**options)
        self.lengths = list(lengths)
        self.last_read = -1
        self.readers: list[str] = []
        self.pause_s = 0.0

    def __len__(self) -> int:
        return self.lengths[0]

    def __getitem__(self, index):
        self.last_read = max(self.last_read, index)
        self.readers.append(threading.current_thread().name)
        time.sleep(self.pause_s)
        return np.full((2, 10), index, np.float32), np.full((2, 1), index % 2, np.float32)

    def on_epoch_begin(self) -> None:
        self.last_read = -1

    def on_epoch_end(self) -> None:
        # Keras also calls it before the first epoch, and after one batch to learn shapes from.
        if self.last_read == len(self) - 1:
            self.lengths = self.lengths[1:] or self.lengths


def number(batch) -> int:
    return int(batch["x"][0, 0])


def trained_on(data, epochs=3, **options):
    """Return what a fresh model is given in each epoch, for one seed: numbers, and weights."""
    keras.utils.set_random_seed(3)
    given: list[list] = []

    class Epochs(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            given.append([])

    def record(batch):
        given[-1].append((number(batch), *batch.get("sample_weight", [])[:1]))

    model = recording_model(record)
    model.fit(data, epochs=epochs, verbose=0, callbacks=[Epochs()], **options)
    return given


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize(
    ("options", "workers"),
    [({}, 1), ({}, 3), ({"steps_per_epoch": 5}, 3), ({"validation": True}, 1)],
    ids=str,
)
def test_the_order_is_that_of_fit_without_the_bridge(options, shuffle, workers):
    def order(prepare, workers):
        data = prepare(Numbers(workers=workers))
        given = {"validation_data": data} if "validation" in options else options
        return trained_on(data, shuffle=shuffle, **given)

    expected = order(lambda dataset: dataset, workers=1)  # with more, Keras loses some
    assert order(bridge, workers) == expected
    assert (expected[0][:12] == [(i,) for i in range(12)][: len(expected[0])]) is not shuffle


def test_evaluate_and_predict_and_loops_get_the_order():
    data = bridge(Numbers())
    assert trained_on(data) != trained_on(data, shuffle=False)
    numbers: list[int] = []
    record_evaluate({"x": data}, lambda batch: numbers.append(number(batch)))
    assert record_predict({"x": data}, lambda batch: numbers.append(number(batch)))
    numbers += [int(x[0, 0]) for x, _ in data]
    assert numbers == [*range(12)] * 3


def test_class_weights_weigh_as_without_the_bridge():
    weights = {"class_weight": {0: 1.0, 1: 5.0}}
    if BACKEND == "torch":  # the remedy is in the docstring: the dataset returns weights
        with pytest.raises(
            ValueError, match="`class_weight` is not supported for torch DataLoader"
        ):
            trained_on(bridge(Numbers()), **weights)
        return
    expected = trained_on(Numbers(), **weights)
    assert {weight for epoch in expected for _, weight in epoch} == {1, 5}
    assert trained_on(bridge(Numbers()), **weights) == expected


@pytest.mark.skipif(BACKEND == "tensorflow", reason="TensorFlow reads on threads of its own")
@pytest.mark.parametrize("shuffle", [True, False])
def test_most_batches_are_read_ahead_shuffled_or_not(shuffle):
    dataset = Numbers([40], workers=2)
    dataset.pause_s = 0.002
    trained_on(bridge(dataset), epochs=1, shuffle=shuffle)
    assert sum(name.startswith(THREAD_NAME) for name in dataset.readers) > 20


def test_a_random_generator_that_somebody_else_uses_changes_no_batch():
    """An order that was foreseen wrongly is noticed, and every batch is the one asked for."""
    import random

    class Disturbing(Numbers):
        def __len__(self):
            random.random()
            return super().__len__()

    for epoch in trained_on(bridge(Disturbing([30], workers=3))):
        assert sorted(epoch) == [(i,) for i in range(30)]


@number_of_workers
def test_batches_by_number_are_those(workers):
    if BACKEND != "jax":
        pytest.skip("only a `PyDataset` is asked by number")
    data = bridge(Numbers(workers=workers))
    trained_on(data, epochs=1)
    numbers = [7, 0, 1, 2, 11, 0, 5, 4, 3]
    assert [int(data[i][0][0, 0]) for i in numbers] == numbers
    data.on_epoch_end()


@pytest.mark.parametrize(
    ("lengths", "workers"), [([8, 5, 3], 1), ([8, 5, 3], 3), ([3, 5, 8], 1), ([4, 0, 4], 1)]
)
def test_a_dataset_may_shrink_and_grow_between_epochs(lengths, workers):
    expected = trained_on(Numbers(lengths), epochs=4, shuffle=False)
    dataset = Numbers(lengths, workers=workers, max_queue_size=1)
    got = trained_on(bridge(dataset), epochs=4, shuffle=False)
    assert [sorted(epoch) for epoch in got] == [sorted(epoch) for epoch in expected]


class FullDiskError(Exception):
    pass


@pytest.mark.parametrize(
    ("method", "workers"), [("on_epoch_begin", 1), ("on_epoch_end", 1), ("on_epoch_end", 3)]
)
def test_what_ends_or_begins_an_epoch_may_raise(method, workers):
    """`fit` ends in the epoch in which it would without the bridge."""
    calls = []

    def fail(self):
        calls.append(method)
        if len(calls) == 3:
            raise FullDiskError("no space left")

    kind = type("Failing", (Numbers,), {method: fail})
    epochs = []
    for data in (kind(), bridge(kind(workers=workers))):
        calls.clear()
        model = recording_model(lambda batch: None)
        begun = keras.callbacks.LambdaCallback(
            on_epoch_begin=lambda epoch, logs: epochs.append(epoch)
        )
        with pytest.raises(Exception, match="no space left"):
            model.fit(data, epochs=6, verbose=0, callbacks=[begun])
        epochs.append("end")
    assert abs(epochs.index("end") - (len(epochs) - 2 - epochs.index("end"))) <= 1


def test_a_lazy_sequence_is_shuffled_by_fit_in_whole_batches(source):
    sequence = LazySequence(source, ROWS, batch_size=16)
    batches = {sequence[i][0].tobytes(): i for i in range(len(sequence))}
    given: list[int] = []
    model = recording_model(lambda batch: given.append(batches[batch["x"].tobytes()]))
    model.fit(bridge(sequence), epochs=2, verbose=0)
    for epoch in (given[:15], given[15:]):
        assert sorted(epoch) == [*range(15)]
        assert epoch != [*range(15)]
    given.clear()
    model.fit(bridge(sequence), verbose=0, shuffle=False)
    assert given == [*range(15)]
