"""The synthetic edition is the same everywhere, and has something to learn."""

import numpy as np
import pytest

from keras_loader_bench.loaders.sources.cache import cache_folder
from keras_loader_bench.loaders.sources.known_sources import prepare_source
from keras_loader_bench.loaders.sources.synthetic import prepare_synthetic

CHUNK = 4096


def test_it_looks_like_cifar10():
    source = prepare_synthetic(10_000, "test")
    assert (source.name, source.split, source.edition) == ("synthetic", "test", "synthetic")
    assert source.images.shape == (10_000, 32, 32, 3)
    assert (source.images.dtype, source.labels.dtype) == (np.uint8, np.uint8)
    assert len(source.class_names) == 10
    source.verify()


def test_its_bytes_are_the_same_on_every_machine():
    # Computed once by this code, version 1. Other bytes need another GENERATOR_VERSION.
    source = prepare_synthetic(5000, "train", seed=7)
    assert source.images_sha256.startswith("78f032fa858066aa")
    assert source.labels_sha256.startswith("cf59ed3939a99694")


@pytest.mark.parametrize("num_samples", [1, CHUNK - 1, CHUNK, CHUNK + 1])
def test_a_smaller_source_is_the_beginning_of_a_larger_one(num_samples):
    small, large = prepare_synthetic(num_samples, "train"), prepare_synthetic(2 * CHUNK, "train")
    np.testing.assert_array_equal(small.images, large.images[:num_samples])
    np.testing.assert_array_equal(small.labels, large.labels[:num_samples])


def test_splits_seeds_and_chunks_share_no_image():
    sources = [
        prepare_synthetic(2 * CHUNK, "train"),
        prepare_synthetic(CHUNK, "test"),
        prepare_synthetic(CHUNK, "train", seed=1),
    ]
    images = [image.tobytes() for source in sources for image in source.images]
    assert len(set(images)) == len(images)


def test_classes_are_balanced_and_shuffled():
    labels = prepare_synthetic(10_000, "train").labels.astype(int)
    assert np.bincount(labels, minlength=10).min() > 900
    assert np.bincount(labels, minlength=10).max() < 1100
    assert 0.08 < np.mean(labels[1:] == labels[:-1]) < 0.12  # neighbours agree by chance only


def spectra(images):
    """How strong each wave is in an image, whatever its phase: (n, 32 * 32)."""
    grey = images.mean(axis=3)
    return np.abs(np.fft.fft2(grey - grey.mean(axis=(1, 2), keepdims=True))).reshape(len(grey), -1)


def nearest_class(train, test, view):
    """The share of `test` that lies nearest to the mean of its own class in `train`."""
    x, z = view(train.images[:1000]), view(test.images[:1000])
    means = np.stack([x[train.labels[:1000] == c].mean(axis=0) for c in range(10)])
    distances = np.linalg.norm(z[:, None] - means, axis=2)
    return np.mean(distances.argmin(axis=1) == test.labels[:1000])


def test_a_class_is_told_by_its_wave_and_not_by_its_pixels_or_colour():
    train, test = prepare_synthetic(1000, "train"), prepare_synthetic(1000, "test")
    assert nearest_class(train, test, spectra) > 0.9
    assert nearest_class(train, test, lambda images: images.mean(axis=(1, 2))) < 0.2
    assert nearest_class(train, test, lambda images: images[:, ::4, ::4, 0].reshape(1000, -1)) < 0.3


def test_a_second_call_makes_nothing(monkeypatch):
    first = prepare_synthetic(100, "train")
    monkeypatch.setattr("keras_loader_bench.loaders.sources.synthetic.write_source", None)
    assert prepare_synthetic(100, "train") == first


def test_a_cache_whose_bytes_have_changed_is_made_again():
    first = prepare_synthetic(100, "train")
    path = first.folder / "images.npy"
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    prepare_synthetic(100, "train").verify()
    assert path.read_bytes() == content
    assert len(list(cache_folder().iterdir())) == 1


@pytest.mark.parametrize(("split", "size"), [("train", 50_000), ("test", 10_000)])
def test_it_is_as_large_as_cifar10_unless_asked(split, size):
    assert prepare_source("synthetic", split=split).num_samples == size
