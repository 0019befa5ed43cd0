"""A source larger than CIFAR-10 repeats a real one, on disk, whole or not at all."""

import os
import shutil

import numpy as np
import pytest
from fake_source import ROWS, write

from keras_loader_bench.loaders.sources.cache import cache_folder
from keras_loader_bench.loaders.sources.image_source import SourceError
from keras_loader_bench.loaders.sources.known_sources import prepare_source
from keras_loader_bench.loaders.sources.repeated import repeat_source


@pytest.fixture
def small():
    return write(cache_folder() / "some-source")


@pytest.mark.parametrize("num_samples", [ROWS + 1, 2 * ROWS, 5 * ROWS - 3])
def test_every_row_is_that_of_the_original(small, num_samples):
    source = repeat_source(small, num_samples)
    source.verify()
    rows = np.arange(num_samples) % ROWS
    np.testing.assert_array_equal(source.images, small.images[rows])
    np.testing.assert_array_equal(source.labels, small.labels[rows])
    assert (source.name, source.edition) == (f"{small.name}-repeated", small.edition)


def test_it_is_made_once(small):
    first = repeat_source(small, 3 * ROWS)
    made = (first.folder / "images.npy").stat().st_mtime_ns
    assert repeat_source(small, 3 * ROWS) == first
    assert (first.folder / "images.npy").stat().st_mtime_ns == made


def test_a_full_disk_is_noticed_before_anything_is_written(small, monkeypatch):
    usage = shutil.disk_usage("/")._replace(free=10_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(SourceError, match=r"cannot be written to.*needed, 0 MiB free"):
        repeat_source(small, 100 * ROWS)
    assert [path.name for path in cache_folder().iterdir()] == ["some-source"]


def test_more_samples_than_cifar10_has_are_repetitions():
    if "CIFAR10_DIR" not in os.environ:
        pytest.skip("CIFAR10_DIR does not name a folder of real photographs")
    source = prepare_source(
        "cifar10", data_dir=os.environ["CIFAR10_DIR"], split="test", num_samples=10_007
    )
    assert source.name == "cifar10-repeated"
    np.testing.assert_array_equal(source.images[10_000:], source.images[:7])
