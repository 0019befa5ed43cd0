"""Through the bridge, ranks get other batches of a dataset, dealt anew every epoch."""

import keras
import numpy as np
import pytest
import reading_ahead as kit
from test_bridge import Numbers, fitted

from keras_loader_bench.loaders import bridge
from keras_loader_bench.loaders.bridges.sharded_batches import ShardedBatches
from keras_loader_bench.loaders.sequence.lazy_sequence import LazySequence

pytestmark = [
    pytest.mark.each_backend,
    # Keras says so of a `tf.data.Dataset` and a `DataLoader`; the bridge shuffles all the same.
    pytest.mark.filterwarnings("ignore:`shuffle=True` was passed, but will be ignored"),
]

no_thread_stays = pytest.fixture(autouse=True)(kit.no_thread_stays)

BATCHES, RANKS = 21, 2  # one is left out


def epochs_of_ranks(seed=0, *, shuffle=False, workers=1, epochs=3):
    """Epoch -> the batches of each rank."""
    ranks = [
        fitted(
            bridge(Numbers(BATCHES, workers=workers), shard=(rank, RANKS), seed=seed),
            epochs=epochs,
            shuffle=shuffle,
        )
        for rank in range(RANKS)
    ]
    return [[[n % 100 for n in batches] for batches in epoch] for epoch in zip(*ranks, strict=True)]


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize("shuffle", [False, True])
def test_every_batch_but_those_that_are_left_over_comes_on_one_rank(shuffle, workers):
    epochs = epochs_of_ranks(shuffle=shuffle, workers=workers)
    for one, other in epochs:
        assert len(one) == len(other) == BATCHES // RANKS
        assert len({*one, *other}) == BATCHES - BATCHES % RANKS
    assert len({frozenset(one) for one, _ in epochs}) == len(epochs)  # dealt anew


def test_without_a_seed_a_rank_has_the_same_batches_in_their_order():
    for one, other in epochs_of_ranks(seed=None):
        assert one == [*range(0, BATCHES - 1, 2)]
        assert other == [*range(1, BATCHES - 1, 2)]


def test_another_seed_deals_otherwise():
    first, again, other = (epochs_of_ranks(seed=seed, epochs=1) for seed in (1, 1, 2))
    assert first == again != other


def test_a_dataset_without_an_end_is_dealt_out_in_turn():
    class Endless(Numbers):
        num_batches = None
        __len__ = None

    share = ShardedBatches(Endless(), (1, 3))
    assert share.num_batches is None
    assert [int(share[i][0][0, 0]) for i in range(3)] == [1, 4, 7]


def test_what_cannot_be_shared_out_is_refused(source):
    with pytest.raises(ValueError, match="at least one batch for each of 30 ranks, got 21"):
        bridge(Numbers(BATCHES), shard=(0, 30))
    with pytest.raises(ValueError, match=r"`shard` must be `\(rank, ranks\)`"):
        bridge(Numbers(BATCHES), shard=(2, 2))
    sequence = LazySequence(source, np.arange(8), batch_size=4)
    with pytest.raises(ValueError, match="`shard` must be given to the `LazySequence`"):
        bridge(sequence, shard=(0, 2))


def test_workers_and_callbacks_are_those_of_the_dataset():
    dataset = Numbers(BATCHES, workers=3, max_queue_size=5)
    share = ShardedBatches(dataset, (0, 2))
    assert (share.workers, share.max_queue_size) == (3, 5)
    assert isinstance(share, keras.utils.PyDataset)
    share.on_epoch_begin()
    share.on_epoch_end()
    assert dataset.calls == ["begin", "end"]
