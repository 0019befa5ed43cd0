"""`CIFAR10Sequence` in a training script: whole epochs, new orders, and nothing held in memory."""

import pickle
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pytest
from fake_cifar10 import ROWS, write_folder
from registered import CIFAR10

from keras_loader_bench.bench.child import models
from keras_loader_bench.loaders import CIFAR10Sequence, bridge, sample_order
from keras_loader_bench.loaders.audit.batches.recording import recording_model
from keras_loader_bench.loaders.sources.cifar10 import prepare_cifar10
from keras_loader_bench.loaders.sources.image_source import SourceError

TRAIN_ROWS = 5 * ROWS


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """CIFAR-10 with batch files of 20 rows, in the working directory of a training script."""
    prepare = partial(prepare_cifar10, rows_per_batch=ROWS)
    monkeypatch.setattr(
        "keras_loader_bench.loaders.sequence.cifar10_sequence.prepare_cifar10", prepare
    )
    monkeypatch.chdir(tmp_path)
    return write_folder(tmp_path)


needs_tensorflow = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="needs TensorFlow's backend"
)
number_of_workers = pytest.mark.parametrize("workers", [None, 4])
shuffle_or_not = pytest.mark.parametrize("shuffle_in_fit", [False, True])


class Passes:
    """Which rows of the sequences' sources a fresh model was given, pass by pass.

    Rows of the second sequence are numbered on from those of the first.
    """

    def __init__(self, *sequences: CIFAR10Sequence) -> None:
        self.rows: list[int] = []
        images = np.concatenate([sequence.source.images for sequence in sequences])
        self._row_of = {image.tobytes(): row for row, image in enumerate(images)}
        assert len(self._row_of) == len(images)
        self.model = recording_model(self._record)

    def _record(self, arrays) -> None:
        x = arrays["x"]
        stored = np.round(x * 255).astype(np.uint8) if x.dtype == np.float32 else x
        self.rows += [self._row_of[image.tobytes()] for image in stored]

    def split(self, size: int = TRAIN_ROWS) -> list[list[int]]:
        assert len(self.rows) % size == 0
        return [self.rows[start : start + size] for start in range(0, len(self.rows), size)]


def assert_whole_and_different(passes: list[list[int]], samples: int = TRAIN_ROWS) -> None:
    for rows in passes:
        assert sorted(rows) == list(range(samples))
    assert len({tuple(rows) for rows in passes}) == len(passes)


@needs_tensorflow
@pytest.mark.parametrize(("batch_size", "workers"), [(1, 2), (7, None), (7, 2), (1000, None)])
def test_every_pass_over_its_tf_dataset_covers_every_sample_once_in_another_order(
    folder, batch_size, workers
):
    sequence = CIFAR10Sequence(batch_size, workers=workers)
    dataset = sequence.as_tf_dataset()
    assert int(dataset.cardinality()) == len(sequence)
    x, y = dataset.element_spec
    assert (x.shape.as_list(), y.shape.as_list()) == ([None, 32, 32, 3], [None, 10])
    passes = Passes(sequence)
    passes.model.fit(dataset, epochs=2 if batch_size == 1 else 3, shuffle=False, verbose=0)
    assert_whole_and_different(passes.split())
    # Passes that overlap keep their own orders.
    overlapping = zip(dataset, dataset, strict=True)
    pairs = [(np.asarray(one), np.asarray(other)) for (one, _), (other, _) in overlapping]
    rows = [np.concatenate(images) for images in zip(*pairs, strict=True)]
    assert all(len(images) == TRAIN_ROWS for images in rows)
    assert not np.array_equal(*rows)


@needs_tensorflow
def test_its_tf_dataset_repeated_begins_an_order_with_every_epoch_and_none_ahead(folder):
    sequence = CIFAR10Sequence(7)
    passes = Passes(sequence)
    endless = sequence.as_tf_dataset().repeat()
    for _ in range(2):
        passes.model.fit(endless, epochs=3, steps_per_epoch=len(sequence), shuffle=False, verbose=0)
    orders = [sample_order(TRAIN_ROWS, seed=0, epoch=epoch).tolist() for epoch in range(6)]
    assert passes.split() == orders


@pytest.mark.each_backend
@pytest.mark.parametrize("batch_size", [7])
def test_every_epoch_of_its_bridge_covers_every_sample_once_in_another_order(folder, batch_size):
    sequence = CIFAR10Sequence(batch_size)
    passes = Passes(sequence)
    passes.model.fit(bridge(sequence), epochs=3, shuffle=False, verbose=0)
    assert len(passes.split()) == 3
    assert_whole_and_different(passes.split())


@pytest.mark.each_backend
@pytest.mark.parametrize(
    ("batch_size", "workers", "shuffle_in_fit"),
    [  # every pair
        (1, None, False),
        (1, 4, True),
        (7, None, True),
        (7, 4, False),
        (1000, None, False),
        (1000, 4, True),
    ],
)
def test_every_epoch_covers_every_sample_once_in_another_order(
    folder, batch_size, workers, shuffle_in_fit
):
    sequence = CIFAR10Sequence(batch_size, workers=workers)
    passes = Passes(sequence)
    epochs = 2 if batch_size == 1 else 3  # a hundred steps each
    passes.model.fit(sequence, epochs=epochs, shuffle=shuffle_in_fit, verbose=0)
    assert len(passes.split()) == epochs
    assert_whole_and_different(passes.split())


@pytest.mark.each_backend
@number_of_workers
def test_a_second_fit_goes_on_with_new_orders(folder, workers):
    sequence = CIFAR10Sequence(8, workers=workers)
    passes = Passes(sequence)
    for _ in range(2):
        passes.model.fit(sequence, epochs=2, shuffle=False, verbose=0)
    assert len(passes.split()) == 4
    assert_whole_and_different(passes.split())


@pytest.mark.each_backend
def test_the_orders_are_those_of_the_seed_and_the_same_in_every_run(folder):
    runs = []
    for workers in (0, 1, 4):
        sequence = CIFAR10Sequence(8, seed=4, workers=workers)
        passes = Passes(sequence)
        passes.model.fit(sequence, epochs=2, shuffle=False, verbose=0)
        runs.append(passes.split())
        last = sample_order(TRAIN_ROWS, seed=4, epoch=sequence.epoch)
        assert passes.split()[-1] == last.tolist()
    assert runs[0] == runs[1] == runs[2]


@pytest.mark.each_backend
@pytest.mark.parametrize("batch_size", [7, 16])
def test_ranks_share_out_every_epoch(folder, batch_size):
    """With batches of 7 a step of 2 ranks is left over that has 2 samples, of 16 one of 4."""
    epochs = []
    for rank in range(2):
        sequence = CIFAR10Sequence(batch_size, shard=(rank, 2))
        assert len(sequence) == -(-TRAIN_ROWS // (2 * batch_size))
        passes = Passes(sequence)
        passes.model.fit(bridge(sequence), epochs=3, shuffle=False, verbose=0)
        epochs.append(passes.split(TRAIN_ROWS // 2))
    together = [one + other for one, other in zip(*epochs, strict=True)]
    assert_whole_and_different(together)
    assert len({frozenset(one) for one in epochs[0]}) == 3  # a rank has others in each


@pytest.mark.each_backend
def test_a_share_is_pickled_without_its_rows(folder):
    sequence = CIFAR10Sequence(8, shard=(1, 2), last_batch="drop")
    assert len(sequence) == 6
    again = pickle.loads(pickle.dumps(sequence))
    assert np.array_equal(again.rows, sequence.rows)


@pytest.mark.each_backend
@shuffle_or_not
@number_of_workers
def test_steps_per_epoch_cuts_passes_but_not_their_order(folder, workers, shuffle_in_fit):
    """Two of Keras' epochs make one pass here; an order that followed its epochs would break it."""
    sequence = CIFAR10Sequence(10, workers=workers)
    passes = Passes(sequence)
    passes.model.fit(sequence, epochs=4, steps_per_epoch=5, shuffle=shuffle_in_fit, verbose=0)
    assert len(passes.split()) == 2
    assert_whole_and_different(passes.split())


def test_fits_that_stop_early_do_not_repeat_the_same_start(folder):
    sequence = CIFAR10Sequence(10)
    passes = Passes(sequence)
    for _ in range(2):
        passes.model.fit(sequence, epochs=1, steps_per_epoch=3, shuffle=False, verbose=0)
    first, second = passes.split(30)
    assert set(first) != set(second)


@pytest.mark.each_backend
@number_of_workers
def test_validation_beside_training_disturbs_neither(folder, workers):
    train = CIFAR10Sequence(8, workers=workers)
    test = CIFAR10Sequence(8, train=False, workers=workers)
    passes = Passes(train, test)
    passes.model.fit(train, epochs=3, validation_data=test, shuffle=False, verbose=0)
    epochs = passes.split(TRAIN_ROWS + ROWS)
    assert len(epochs) == 3
    assert_whole_and_different([epoch[:TRAIN_ROWS] for epoch in epochs])
    for epoch in epochs:
        assert epoch[TRAIN_ROWS:] == list(range(TRAIN_ROWS, TRAIN_ROWS + ROWS))


def test_the_test_split_keeps_the_stored_order(folder):
    sequence = CIFAR10Sequence(8, train=False)
    sequence.on_epoch_end()
    x = np.concatenate([sequence[i][0] for i in range(len(sequence))])
    assert (x == np.float32(sequence.source.images / 255.0)).all()


def test_the_classic_script_runs(folder):
    train, test = CIFAR10Sequence(64), CIFAR10Sequence(64, train=False)
    model = models.cnn(CIFAR10["float32"])
    history = model.fit(
        train,
        epochs=2,
        validation_data=test,
        verbose=0,
    )
    assert history.history["samples"] == [TRAIN_ROWS] * 2
    assert history.history["val_samples"] == [ROWS] * 2


@number_of_workers
def test_a_batch_is_the_same_whenever_it_is_asked_for(folder, workers):
    sequence = CIFAR10Sequence(8, pixels="uint8", workers=workers)
    indices = [*range(len(sequence))] * 5
    expected = [sequence[i][0].tobytes() for i in indices]
    with ThreadPoolExecutor(8) as pool:
        assert [x.tobytes() for x, _ in pool.map(sequence.__getitem__, indices)] == expected
    assert Counter(expected).most_common(1)[0][1] == 5


@number_of_workers
def test_a_new_order_begins_with_a_pass_and_not_in_its_middle(folder, workers):
    sequence = CIFAR10Sequence(8, pixels="uint8", workers=workers)
    before = [x.tobytes() for x, _ in sequence]
    sequence.on_epoch_end()
    assert [sequence[i][0].tobytes() for i in range(13)] == before
    after = [x.tobytes() for x, _ in sequence]
    assert after != before
    assert [x.tobytes() for x, _ in sequence] == after


def test_a_loop_of_ones_own_gets_new_orders(folder):
    sequence = CIFAR10Sequence(10)
    passes = Passes(sequence)
    for _ in range(3):
        for i in range(len(sequence)):
            passes.model.train_on_batch(*sequence[i])
        sequence.on_epoch_end()
    assert_whole_and_different(passes.split())


@pytest.mark.parametrize("index", [-14, 13, 1000])
def test_a_batch_that_does_not_exist_is_refused(folder, index):
    with pytest.raises(IndexError, match=rf"Batch {index} does not exist: there are 13"):
        CIFAR10Sequence(8)[index]


def test_negative_indices_count_from_the_end(folder):
    sequence = CIFAR10Sequence(8)
    assert sequence[-1][0].shape == (4, 32, 32, 3)
    assert sequence[-1][0].tobytes() == sequence[12][0].tobytes()


UNPICKLE = """
import pickle, sys
sequence = pickle.load(sys.stdin.buffer)
print(sequence[3][0].tobytes().hex())
"""


def test_the_pickle_is_small_and_works_in_a_fresh_process(folder):
    sequence = CIFAR10Sequence(8, pixels="uint8", workers=4)
    sequence.on_epoch_end()
    batches = [sequence[i] for i in (0, 3)]  # opens the map and goes on to order 1
    pickled = pickle.dumps(sequence)
    assert len(pickled) < 4096
    done = subprocess.run(
        [sys.executable, "-c", UNPICKLE], input=pickled, capture_output=True, check=True
    )
    assert bytes.fromhex(done.stdout.decode().split()[-1]) == batches[1][0].tobytes()


def test_a_missing_folder_is_named_with_a_remedy(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SourceError, match="cifar-10-batches-py"):
        CIFAR10Sequence(64)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"train": "test"}, "`train` must be True or False, got 'test'"),
        ({"batch_size": 0}, "`batch_size` must be a positive integer, got 0"),
        ({"pixels": "float16"}, "`pixels` must be one of"),
        ({"workers": -1}, "`workers` must be an integer of at least 0, or None, got -1"),
        ({"prefetch_batches": 0}, "`prefetch_batches` must be an integer of at least 1, got 0"),
        ({"shard": (2, 2)}, "`shard` must be"),
        ({"last_batch": "longer"}, "`last_batch` must be one of .*, got 'longer'"),
    ],
)
def test_bad_options_are_refused_before_files_are_read(arguments, message):
    with pytest.raises(ValueError, match=message):
        CIFAR10Sequence(**arguments)
