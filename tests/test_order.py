"""Order is a function of seed and epoch, and every epoch has every row once."""

import pickle
import subprocess
import sys
import tempfile

import numpy as np
import pytest
from conftest import PROJECT

from keras_loader_bench.loaders import order, sample_order

LARGE = 70_000


@pytest.fixture
def in_a_file(monkeypatch):
    """Orders of `LARGE` samples lie in a file, as those of 100 million do."""
    monkeypatch.setattr(order, "MAX_SAMPLES_IN_MEMORY", LARGE - 1)


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


@pytest.mark.parametrize("num_samples", [1000, LARGE])
def test_rows_take_four_bytes(num_samples, in_a_file):
    assert sample_order(num_samples, seed=0, epoch=0).dtype == np.int32


def test_an_order_of_an_ordinary_data_set_writes_no_file(monkeypatch):
    monkeypatch.setattr(tempfile, "TemporaryFile", None)
    assert len(sample_order(LARGE, seed=0, epoch=0)) == LARGE


def grown(num_samples):
    """Private memory and page cache that a large order takes in a fresh process, in bytes."""
    code = f"""
import os, numpy.random
from keras_loader_bench.bench.sensors.memory_metrics import read_pss
from keras_loader_bench.loaders import order, sample_order
order.MAX_SAMPLES_IN_MEMORY = 65_536  # instead of 100 million: the test takes less memory
sample_order(70_000, seed=0, epoch=0)
before = read_pss(os.getpid())
rows = sample_order({num_samples}, seed=0, epoch=0)
after = read_pss(os.getpid())
print(after.anon + after.shmem - before.anon - before.shmem, after.file - before.file, rows.sum())
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, check=True, cwd=PROJECT
    )
    private, cache, total = map(int, done.stdout.split())
    assert total == num_samples * (num_samples - 1) // 2
    return private, cache


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_an_order_in_a_file_takes_no_private_memory():
    private, cache = grown(12_000_000)
    assert private < 4 * 2**20
    assert cache == pytest.approx(48_000_000, rel=0.05)


def test_a_large_order_is_the_same_permutation_in_a_plain_array(in_a_file):
    rows = sample_order(LARGE, seed=7, epoch=3)
    expected = np.random.default_rng([7, 3]).permutation(LARGE)
    np.testing.assert_array_equal(rows, expected)
    assert type(rows) is np.ndarray
    assert type(pickle.loads(pickle.dumps(rows))) is np.ndarray
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(rows)), expected)


def test_a_large_order_leaves_no_file(in_a_file, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    rows = sample_order(LARGE, seed=7, epoch=3)
    assert not list(tmp_path.iterdir())
    assert rows[0] == np.random.default_rng([7, 3]).permutation(len(rows))[0]


def test_without_a_folder_for_temporary_files_the_order_is_in_memory(
    in_a_file, tmp_path, monkeypatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "missing"))
    rows = sample_order(LARGE, seed=7, epoch=3)
    assert rows[0] == np.random.default_rng([7, 3]).permutation(len(rows))[0]


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
