"""Encoded images have one meaning: every decoder that keeps the contract gives the same pixels."""

import io
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from encoded_files import READ, REFUSED, RGB, jpeg, rotated_by_exif, save
from PIL import Image

from keras_loader_bench.loaders.encoded.decoding import decode, decode_whole, extension
from keras_loader_bench.loaders.encoded.known_images import prepare_images
from keras_loader_bench.loaders.sources.stored_array import SourceError

pytest.importorskip("simplejpeg")


def by_pillow(encoded):
    return np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB"))


def by_tensorflow(encoded, **options):
    tf = pytest.importorskip("tensorflow")
    return tf.io.decode_jpeg(encoded, channels=3, **options).numpy()


def synthetic():
    return by_pillow(bytes(prepare_images("photographs", num_samples=1).encoded(0)))


def scikit_learn(name):
    datasets = pytest.importorskip("sklearn.datasets")
    return by_pillow((Path(datasets.__file__).parent / "images" / name).read_bytes())


PHOTOGRAPHS = {
    "synthetic": synthetic,
    "china": lambda: scikit_learn("china.jpg"),
    "flower": lambda: scikit_learn("flower.jpg"),
}
ENCODINGS = [
    *({"quality": q, "subsampling": s} for q, s in product((50, 75, 90, 95), (0, 1, 2))),
    {"progressive": True},
    {"progressive": True, "subsampling": 0},
]

every_photograph = pytest.mark.parametrize("photograph", PHOTOGRAPHS)


@every_photograph
def test_exact_decoders_give_the_same_pixels(photograph):
    pixels = PHOTOGRAPHS[photograph]()
    files = [jpeg(pixels, **encoding) for encoding in ENCODINGS]
    files.append(jpeg(Image.fromarray(pixels).convert("L")))
    for file in files:
        expected = by_pillow(file)
        np.testing.assert_array_equal(decode_whole(file), expected)
        np.testing.assert_array_equal(by_tensorflow(file, dct_method="INTEGER_ACCURATE"), expected)


@every_photograph
def test_tensorflow_by_default_differs_in_more_than_a_third_of_the_values(photograph):
    """So do `tf.io.decode_image` and `image_dataset_from_directory`."""
    tf = pytest.importorskip("tensorflow")
    file = jpeg(PHOTOGRAPHS[photograph]())
    by_default = by_tensorflow(file)
    assert np.mean(by_default != decode_whole(file)) > 1 / 3
    np.testing.assert_array_equal(tf.io.decode_image(file).numpy(), by_default)


@pytest.mark.filterwarnings("ignore:Palette images with Transparency:UserWarning")  # by Pillow
@pytest.mark.parametrize("kind", READ)
def test_what_is_read_is_what_tensorflow_and_pillow_read(kind):
    tf = pytest.importorskip("tensorflow")
    file = READ[kind]
    found = decode_whole(file)
    assert (found.shape, found.dtype) == ((80, 96, 3), np.uint8)
    np.testing.assert_array_equal(found, by_pillow(file))
    if not kind.startswith("JPEG"):
        expected = tf.io.decode_image(file, channels=3, expand_animations=False).numpy()
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_refused_says_why(kind):
    file, message = REFUSED[kind]
    with pytest.raises(SourceError, match=message):
        decode_whole(file)


def test_an_orientation_is_not_applied():
    assert Image.open(io.BytesIO(rotated_by_exif())).getexif()[0x0112] == 6
    np.testing.assert_array_equal(decode_whole(rotated_by_exif()), decode_whole(jpeg()))


@pytest.mark.parametrize("size", [1, 63, 64, 79, 80])
def test_the_centre_is_cut_out(size):
    file = save(RGB, "PNG")
    top, left = (80 - size) // 2, (96 - size) // 2
    expected = RGB[top : top + size, left : left + size]
    np.testing.assert_array_equal(decode(file, size), expected)
    out = np.zeros((size, size, 3), np.uint8)
    assert decode(memoryview(file), size, out=out) is out
    np.testing.assert_array_equal(out, expected)


def test_nothing_is_cut_from_an_image_that_is_smaller():
    with pytest.raises(SourceError, match="96 x 80 pixels, fewer than the image size 81"):
        decode(jpeg(), 81)


@pytest.mark.parametrize("kind", READ)
def test_the_ending_of_a_name_is_told_by_the_bytes(kind):
    endings = {"JPEG": "jpg", "PNG": "png", "BMP": "bmp", "GIF": "gif"}
    assert extension(READ[kind]) == endings[kind.partition(",")[0]]
