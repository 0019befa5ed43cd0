"""What two ranks are given together, by every loader on every backend: each sample once."""

import keras
import numpy as np
import pytest
from fake_source import write
from registered import VARIANTS

from keras_loader_bench.loaders import LoaderOptions, make_loader, sample_order
from keras_loader_bench.loaders.shards import shard_rows
from keras_loader_bench.loaders.sources.image_source import ImageSource

pytestmark = pytest.mark.each_backend

SAMPLES, RANKS, EPOCHS = 50_000, 2, 3


@pytest.fixture(scope="module")
def numbered(tmp_path_factory):
    """Images of four pixels, of which the first has the number of the row in its three bytes."""
    rows = np.arange(SAMPLES)
    images = np.zeros((SAMPLES, 2, 2, 3), np.uint8)
    images[:, 0, 0] = np.stack([rows >> shift & 255 for shift in (0, 8, 16)], axis=1)
    labels = (rows % 3).astype(np.uint8)
    folder = tmp_path_factory.mktemp("numbered") / "source"
    write(folder, [(images, labels)], sample_shape=(2, 2, 3), num_samples=SAMPLES)
    return ImageSource.open(folder)


class Watcher(keras.Model):
    """Trains on nothing, and hands on the rows of every batch that `fit` gives it."""

    def __init__(self, see):
        super().__init__()
        self.see = see

    def call(self, x):
        return x

    def train_step(self, *args):
        x = keras.ops.convert_to_numpy(args[-1][0])
        self.see(x[:, 0, 0].astype(np.int64) @ [1, 256, 65536])
        logs = {"seen": 0}  # TensorFlow wants a result
        return (logs, args[0]) if keras.backend.backend() == "jax" else logs


@pytest.mark.parametrize(
    "name", [pytest.param(v.values[0], marks=v.marks, id=v.id) for v in VARIANTS if not v.values[1]]
)
@pytest.mark.parametrize("batch_size", [64, 100])
@pytest.mark.long
def test_all_ranks_have_each_sample_once_in_as_many_steps(name, batch_size, numbered):
    options = LoaderOptions(batch_size=batch_size, pixels="uint8", num_workers=0)
    given = {(rank, epoch): [] for rank in range(RANKS) for epoch in range(EPOCHS)}
    for rank in range(RANKS):  # each with a loader of its own
        with make_loader(name, numbered, options) as loader:
            for epoch in range(EPOCHS):
                model = Watcher(given[rank, epoch].append)
                model.compile(run_eagerly=True)
                order = sample_order(SAMPLES, seed=0, epoch=epoch)
                rows = shard_rows(order, (rank, RANKS), batch_size)
                model.fit(**loader.fit_args(rows), shuffle=False, verbose=0)
    orders = []
    for epoch in range(EPOCHS):
        shares = [given[rank, epoch] for rank in range(RANKS)]
        steps = -(-SAMPLES // (RANKS * batch_size))
        assert [len(each) for each in shares] == [steps] * RANKS
        together = np.concatenate([batch for each in shares for batch in each])
        assert np.array_equal(np.sort(together), np.arange(SAMPLES)), "none is missing, none twice"
        orders.append(together)
    assert not any(np.array_equal(orders[0], other) for other in orders[1:]), "epochs differ"
