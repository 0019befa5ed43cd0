"""Synthetic photographs are made alike every time, cost what real ones do, and can be learned."""

import hashlib
import time
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from encoded_files import jpeg
from PIL import Image

from keras_loader_bench.loaders.encoded import photographs
from keras_loader_bench.loaders.encoded.decoding import decode_whole
from keras_loader_bench.loaders.encoded.known_images import prepare_images
from keras_loader_bench.loaders.encoded.photographs import prepare_photographs
from keras_loader_bench.loaders.sources.cache import cache_folder
from keras_loader_bench.loaders.sources.stored_array import SourceError

pytest.importorskip("simplejpeg")


def prepare(num_samples=20, split="train", seed=0, **options):
    return prepare_photographs(num_samples, split, seed, **{"image_size": 224, **options})


def files(source):
    return [bytes(source.encoded(row)) for row in range(source.num_samples)]


def test_they_are_the_same_every_time_and_say_what_made_them():
    first = prepare()
    again = [each.encoded for each in photographs._photographs(20, "train", 0, (256, 256), 90)]
    assert files(first) == again
    assert first.inputs["pillow"] == Image.__version__
    assert first.inputs["libjpeg"] != "unknown"
    first.verify()


def test_of_another_quality_the_pixels_before_are_the_same():
    least, usual = prepare(quality=30), prepare()
    assert usual.folder == prepare(quality=90).folder != least.folder
    assert least.bytes_per_sample < usual.bytes_per_sample / 2
    assert np.array_equal(least.labels, usual.labels)
    (low, _), (high, _) = (source.read(np.arange(20)) for source in (least, usual))
    assert 0 < np.abs(low.astype(int) - high).mean() < 12


def test_what_another_environment_makes_lies_beside_them(monkeypatch):
    """It replaced them, under the eyes of a run that was reading them."""
    first = prepare()
    monkeypatch.setattr(photographs, "pillow_version", "0.1")
    other = prepare()
    assert other.folder != first.folder
    first.verify()
    assert {*cache_folder().iterdir()} == {first.folder, other.folder}


@pytest.mark.parametrize("quality", [0, 101])
def test_a_quality_that_no_encoder_has_is_refused(quality):
    with pytest.raises(SourceError, match=f"`quality` must be from 1 to 100, got {quality}"):
        prepare(quality=quality)


def test_what_pillow_does_not_make_is_the_same_on_every_machine():
    # Computed once by this code, version 1. Other bytes need another GENERATOR_VERSION.
    noise = photographs._bytes(np.random.PCG64(7), 100, 100).tobytes()
    waves = [photographs._grating(label, 5, 40, 30).astype("<i2") for label in range(10)]
    assert hashlib.sha256(noise).hexdigest().startswith("bdfc70b4d4b9cec8")
    assert hashlib.sha256(np.stack(waves).tobytes()).hexdigest().startswith("401aac6a8aaf4cc9")


def test_a_smaller_source_is_the_beginning_of_a_larger_one():
    assert files(prepare(5)) == files(prepare(20))[:5]


def test_splits_and_seeds_share_no_image():
    made = [*files(prepare()), *files(prepare(split="test")), *files(prepare(seed=1))]
    assert len(set(made)) == 60


def test_sizes_vary_a_little():
    sizes = prepare(100).sizes
    assert sizes.min() >= 256
    assert sizes.max() <= 288
    assert len(np.unique(sizes)) > 20


def test_classes_are_balanced_and_shuffled():
    labels = prepare(300).labels
    assert np.bincount(labels, minlength=10).min() > 15
    assert np.mean(labels[1:] == labels[:-1]) < 0.2


def test_a_class_is_told_by_its_wave_and_not_by_pixels_or_colour():
    images, labels = prepare(100).read(np.arange(100))
    grey = images.mean(axis=3)
    down, right = np.mgrid[:224, :224]
    waves = [np.exp(-2j * np.pi * (d * down + r * right) / 64) for d, r in photographs._STEPS]
    strengths = np.abs(np.tensordot(grey, np.stack(waves), ([1, 2], [1, 2])))
    assert np.mean(strengths.argmax(axis=1) == labels) > 0.95
    for view in (images.mean(axis=(1, 2)), images[:, ::16, ::16, 0].reshape(100, -1).astype(float)):
        distances = np.linalg.norm(view[:, None] - view, axis=2) + np.diag([np.inf] * 100)
        assert np.mean(labels[distances.argmin(axis=1)] == labels) < 0.25


def test_camera_sized_ones_are_made_in_bounded_memory():
    source = prepare_images("camera-photographs", num_samples=2)
    assert source.sizes.min(axis=0).tolist() >= [2000, 3000]
    assert source.folder.parent == cache_folder()
    assert decode_whole(source.encoded(0)).shape == (*source.sizes[0], 3)


def tiles_of_real_photographs():
    """What scikit-learn ships, cut into tiles and encoded as the synthetic ones are."""
    datasets = pytest.importorskip("sklearn.datasets")
    folder = Path(datasets.__file__).parent / "images"
    for name in ("china.jpg", "flower.jpg"):
        whole = decode_whole((folder / name).read_bytes())
        tiles = [whole[y : y + 213, x : x + 213] for y in (0, 213) for x in (0, 213, 426)]
        yield [jpeg(tile, subsampling="4:2:0") for tile in tiles]


def pixels(encoded):
    return sum(decode_whole(each).size // 3 for each in encoded)


def test_they_are_as_large_as_photographs():
    """Bits per pixel: 2.3; those of the photographs are 3.1 and 1.6."""
    ours = files(prepare(30))
    for real in tiles_of_real_photographs():
        ratio = sum(map(len, ours)) / pixels(ours) / (sum(map(len, real)) / pixels(real))
        assert 1 / 1.5 < ratio < 1.5


@pytest.mark.measures
def test_they_take_as_long_to_decode_as_photographs():
    ours, real = files(prepare(12)), list(chain(*tiles_of_real_photographs()))

    def seconds(encoded):
        start = time.perf_counter()
        for each in encoded:
            decode_whole(each)
        return (time.perf_counter() - start) / pixels_of[id(encoded)]

    pixels_of = {id(each): pixels(each) for each in (ours, real)}
    best = [
        min(each) for each in zip(*((seconds(ours), seconds(real)) for _ in range(40)), strict=True)
    ]
    assert 0.75 < best[0] / best[1] < 1.25


def test_what_is_asked_for_must_be_possible():
    for options, message in [
        ({"num_samples": 0}, "`num_samples` must be positive, got 0"),
        ({"seed": -1}, "`seed` must not be negative, got -1"),
        ({"image_size": 257}, "at most 256, the shorter side .*, got 257"),
        ({"image_size": 0}, "`image_size` must be positive, got 0"),
    ]:
        with pytest.raises(SourceError, match=message):
            prepare(**options)
