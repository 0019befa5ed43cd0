"""The bridge gives `fit` what a PyDataset yields: each batch once, in order, every pass."""

import gc
import threading
import traceback
import weakref

import keras
import numpy as np
import pytest
import reading_ahead as kit
from reading_ahead import ROWS, eventually, threads

from keras_loader_bench.loaders import bridge
from keras_loader_bench.loaders.audit.batches.recording import (
    record_evaluate,
    record_fit,
    record_predict,
)
from keras_loader_bench.loaders.contract import make_batch
from keras_loader_bench.loaders.sequence.lazy_sequence import LazySequence

pytestmark = pytest.mark.each_backend

no_thread_stays = pytest.fixture(autouse=True)(kit.no_thread_stays)
number_of_workers = pytest.mark.parametrize("workers", [1, 3])


class Numbers(keras.utils.PyDataset):
    """Batch i is full of i, in epoch e of e more; x is a pair, and there are weights."""

    def __init__(self, num_batches=20, **options) -> None:
        super().__init__(**options)
        self.batches = num_batches
        self.calls: list[str] = []
        self.epoch = 0
        self.together = self.most_together = 0
        self.lock = threading.Lock()

    def __len__(self) -> int:
        return self.batches

    def __getitem__(self, index):
        with self.lock:
            self.together += 1
            self.most_together = max(self.most_together, self.together)
        size = 4 if index < self.batches - 1 else 2
        x = np.full((size, 10), index + 100 * self.epoch, np.float32)
        with self.lock:
            self.together -= 1
        return (x, x[:, :1] + 0.5, np.ones(size, np.float32))

    def on_epoch_begin(self) -> None:
        self.calls.append("begin")

    def on_epoch_end(self) -> None:
        self.calls.append("end")
        self.epoch += 1


def numbers(records) -> list[int]:
    return [int(batch["x"][0, 0]) for batch in records]


def fitted(dataset, epochs=3, **options) -> list[list[int]]:
    records: list[list] = [[] for _ in range(epochs)]
    record_fit({"x": dataset}, [record.append for record in records], **options)
    return [numbers(record) for record in records]


@number_of_workers
def test_every_epoch_has_every_batch_once_and_in_order(workers):
    dataset = Numbers(workers=workers)
    for one in (fitted(bridge(dataset)), fitted(bridge(dataset))):
        passes = [[number % 100 for number in numbers] for numbers in one]
        assert passes == [[*range(20)]] * 3
        # What the dataset changes between passes takes effect, and never in the middle of one.
        epochs = [{number // 100 for number in numbers} for numbers in one]
        assert all(len(epoch) == 1 for epoch in epochs)
        assert len(set.union(*epochs)) == 3


@pytest.mark.parametrize(
    ("given", "kept"),
    [(bridge, False), (lambda dataset: dataset, keras.backend.backend() == "tensorflow")],
    ids=["bridge", "the dataset itself"],
)
def test_fit_lets_go_of_its_input_but_on_tensorflow_only_with_the_bridge(given, kept):
    """Once TensorFlow does (its issue 57690), `results/findings.md` need not warn of it."""
    dataset = Numbers()
    alive = weakref.ref(dataset)
    fitted(given(dataset), epochs=1)
    del dataset
    gc.collect()
    assert alive() if kept else eventually(lambda: not alive())


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="what torch's DataLoader does")
def test_torchs_random_numbers_are_those_that_come_without_a_loader():
    import torch

    before = torch.get_rng_state()
    assert len(list(bridge(Numbers()))) == 20
    assert torch.equal(torch.get_rng_state(), before)


@number_of_workers
def test_arrays_arrive_as_they_are(workers):
    records: list = []
    record_fit({"x": bridge(Numbers(workers=workers))}, [records.append])
    assert {name: (array.dtype, array.shape) for name, array in records[-1].items()} == {
        "x": (np.float32, (2, 10)),
        "y": (np.float32, (2, 1)),
        "sample_weight": (np.float32, (2,)),
    }
    assert all((batch["y"] == batch["x"][:, :1] + 0.5).all() for batch in records)


@number_of_workers
def test_evaluate_and_predict_are_given_the_same(workers):
    dataset = bridge(Numbers(workers=workers))
    records: list = []
    record_evaluate({"x": dataset}, records.append)
    assert [number % 100 for number in numbers(records)] == [*range(20)]
    records.clear()
    assert record_predict({"x": dataset}, records.append)
    assert [number % 100 for number in numbers(records)] == [*range(20)]


def test_a_dataset_is_asked_from_one_thread_at_a_time_unless_it_asks_for_more():
    dataset = Numbers(num_batches=60)
    fitted(bridge(dataset))
    assert dataset.most_together == 1


def test_passes_begin_and_end_in_turn():
    dataset = Numbers()
    fitted(bridge(dataset))
    turns = dataset.calls[dataset.calls.index("begin") :]
    assert turns.count("begin") >= 3
    assert all(call == "begin" for call in turns[::2])
    assert all(call == "end" for call in turns[1::2])


def test_a_loop_that_is_broken_off_ends_before_the_next_one_begins():
    dataset = Numbers()
    fed = bridge(dataset)
    dataset.calls.clear()
    next(iter(fed))
    assert len([*fed]) == 20
    turns = dataset.calls
    assert turns.count("begin") == turns.count("end") == 2
    assert turns[::2] == ["begin", "begin"]


class BrokenOffError(Exception):
    pass


class BreakOff(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        raise BrokenOffError


@number_of_workers
def test_a_pass_that_is_broken_off_is_followed_by_a_whole_one(workers):
    fed = bridge(Numbers(workers=workers))
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile(loss="mse")
    with pytest.raises(BrokenOffError):
        model.fit(fed, verbose=0, shuffle=False, callbacks=[BreakOff()])
    assert [number % 100 for number in fitted(fed, 1)[0]] == [*range(20)]
    gc.collect()  # the pass that was broken off is held by its traceback
    if workers > 1 and keras.backend.backend() == "jax":
        fed.on_epoch_end()  # nobody else can know that it is over
    assert eventually(lambda: not threads())


@number_of_workers
@pytest.mark.parametrize("error", [OSError, StopIteration])
def test_an_error_reaches_the_caller_with_its_traceback(workers, error):
    class Broken(Numbers):
        def __getitem__(self, index):
            if index == 7:
                raise error("the disk is on fire")
            return super().__getitem__(index)

    keras.config.disable_traceback_filtering()
    try:
        with pytest.raises(
            Exception, match=r"the disk is on fire|generator raised StopIteration"
        ) as caught:
            fitted(bridge(Broken(workers=workers)))
    finally:
        keras.config.enable_traceback_filtering()
    shown = "".join(traceback.format_exception(caught.value))
    assert f"{error.__name__}: the disk is on fire" in shown
    assert "in __getitem__" in shown


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ([1, 2], "`dataset` must be a `keras.utils.PyDataset`"),
        (Numbers(0), "at least one batch"),
        (Numbers(workers=2, use_multiprocessing=True), "`dataset.use_multiprocessing` must be"),
    ],
)
def test_what_cannot_be_bridged_is_refused(dataset, message):
    with pytest.raises(ValueError, match=message):
        bridge(dataset)


@pytest.mark.parametrize("pixels", ["float32", "uint8"])
def test_a_lazy_sequence_delivers_its_rows(source, pixels):
    sequence = LazySequence(source, ROWS, batch_size=16, pixels=pixels)
    records: list = []
    record_fit({"x": bridge(sequence)}, [records.append])
    for start, batch in zip(range(0, 230, 16), records, strict=True):
        x, y = make_batch(source, ROWS[start : start + 16], pixels)
        assert (batch["x"].tobytes(), batch["y"].tobytes()) == (x.tobytes(), y.tobytes())


def test_what_a_subclass_makes_of_a_batch_is_what_arrives(source):
    class Darker(LazySequence):
        def __getitem__(self, index):
            x, y = super().__getitem__(index)
            return x / 2, y

    records: list = []
    record_fit({"x": bridge(Darker(source, ROWS, batch_size=16))}, [records.append])
    assert len(records) == 15
    x, _ = make_batch(source, ROWS[:16], "float32")
    assert records[0]["x"].tobytes() == (x / 2).tobytes()


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="what a graph has to be told")
def test_a_subclass_of_a_lazy_sequence_may_have_a_signature_of_its_own(source):
    import tensorflow as tf

    class Cropped(LazySequence):
        def __getitem__(self, index):
            x, y = super().__getitem__(index)
            return (x[:, :20] if index == 5 else x), y

    spec = tf.TensorSpec((None, None, 32, 3), "float32"), tf.TensorSpec((None, 10), "float32")
    fed = bridge(Cropped(source, ROWS, batch_size=16), output_signature=spec)
    assert [batch[0].shape[1] for batch in fed] == [32] * 5 + [20] + [32] * 9


def test_batches_that_are_kept_are_not_written_over(source):
    """Buffers are used again: not while a backend's array shares their memory."""
    sequence = LazySequence(source, ROWS, batch_size=16)
    kept = [keras.ops.convert_to_tensor(sequence[i][0]) for i in range(len(sequence))]
    for _ in range(3):
        for batch in sequence:
            del batch
    for start, x in zip(range(0, 230, 16), kept, strict=True):
        expected, _ = make_batch(source, ROWS[start : start + 16], "float32")
        assert keras.ops.convert_to_numpy(x).tobytes() == expected.tobytes()
