"""Order is a function of seed and epoch, and every epoch has every row once."""

import numpy as np
import pytest

from keras_loader_bench.loaders import sample_order


@pytest.mark.parametrize("num_samples", [1, 2, 1000])
@pytest.mark.parametrize("shuffle", [False, True])
def test_every_row_comes_once(num_samples, shuffle):
    rows = sample_order(num_samples, seed=0, epoch=0, shuffle=shuffle)
    assert sorted(rows) == list(range(num_samples))


def test_it_is_numpys_permutation_of_seed_and_epoch():
    expected = np.random.default_rng([7, 3]).permutation(1000)
    assert sample_order(1000, seed=7, epoch=3).tolist() == expected.tolist()


def test_another_epoch_or_seed_is_another_order():
    orders = {
        tuple(sample_order(1000, seed=seed, epoch=epoch)) for seed in (0, 1) for epoch in (0, 1)
    }
    assert len(orders) == 4


def test_rows_take_four_bytes():
    assert sample_order(1000, seed=0, epoch=0).dtype == np.int32


def test_without_shuffling_the_stored_order_stays():
    assert sample_order(5, seed=1, epoch=1, shuffle=False).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_samples": 0, "seed": 0, "epoch": 0}, "`num_samples` must be positive, got 0"),
        ({"num_samples": 5, "seed": -1, "epoch": 0}, "must not be negative, got -1 and 0"),
        ({"num_samples": 5, "seed": 0, "epoch": -2}, "must not be negative, got 0 and -2"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        sample_order(**arguments)
