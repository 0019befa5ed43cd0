"""A source of encoded images gives back what was written, by row, and is small to send."""

import pickle

import numpy as np
import pytest
from encoded_files import READ, jpeg, write
from fake_source import flip_last_byte

from keras_loader_bench.loaders.encoded.decoding import decode
from keras_loader_bench.loaders.encoded.encoded_source import EncodedSource
from keras_loader_bench.loaders.encoded.writing import find_encoded
from keras_loader_bench.loaders.sources.cache import cache_folder
from keras_loader_bench.loaders.sources.stored_array import SourceError

pytest.importorskip("simplejpeg")

FILES = list(READ.values())
INPUTS = {"listing_sha256": "0" * 64}


@pytest.fixture
def target():
    return cache_folder() / "images"


def test_rows_come_back_byte_for_byte(target):
    source = write(target)
    source.verify()
    assert [bytes(source.encoded(row)) for row in range(source.num_samples)] == FILES
    assert source.labels.tolist() == [row % 3 for row in range(len(FILES))]
    assert source.bytes_per_sample == np.mean([len(file) for file in FILES])
    assert not source.labels.flags.writeable
    assert source.encoded(0).readonly


def test_rows_are_decoded_in_the_order_asked_for(target):
    source = write(target)
    rows = np.array([3, 0, 3, 7])
    images, labels = source.read(rows)
    assert (images.shape, images.dtype) == ((4, *source.sample_shape), np.uint8)
    np.testing.assert_array_equal(images, [decode(FILES[row], 64) for row in rows])
    assert labels.tolist() == [0, 0, 0, 1]


def test_a_head_is_the_beginning(target):
    head = write(target).head(2)
    assert len(head.labels) == head.num_samples == 2
    assert head.bytes_per_sample == (len(FILES[0]) + len(FILES[1])) / 2
    for row in (-1, 2):
        with pytest.raises(IndexError, match=f"Row {row} does not exist"):
            head.encoded(row)
    for rows in (0, 3):
        with pytest.raises(SourceError, match=f"between 1 and 2, .* got {rows}"):
            head.head(rows)


def test_a_thousand_classes_fit_in_a_label_and_not_in_the_pickle(target):
    names = tuple(f"n{number:08}" for number in range(1000))
    images = [(jpeg(), 0), (jpeg(), 300), (jpeg(), 999)]
    source = write(target, images, class_names=names)
    assert source.read(np.array([2, 1]))[1].tolist() == [999, 300]
    head = source.head(2)
    sent = pickle.dumps(head)
    assert len(sent) < 2048
    assert pickle.loads(sent) == head


def test_what_was_sent_is_not_taken_for_another_source(target):
    sent = pickle.dumps(write(target))
    write(target, [(jpeg(), 0)], inputs={"listing_sha256": "1" * 64})
    with pytest.raises(SourceError, match="made again"):
        pickle.loads(sent)


@pytest.mark.parametrize("name", ["encoded.bin", "offsets.npy", "sizes.npy", "labels.npy"])
def test_changed_bytes_are_noticed_and_mended(target, name):
    source = write(target)
    flip_last_byte(target / name)
    with pytest.raises(SourceError, match=f"{name}.*SHA-256|sizes.npy.*SHA-256"):
        source.verify()
    assert find_encoded(target, image_size=64, inputs=INPUTS) is None
    write(target).verify()


@pytest.mark.parametrize("name", ["encoded.bin", "offsets.npy", "sizes.npy", "labels.npy"])
def test_a_file_of_another_length_is_noticed_when_it_is_opened(target, name):
    write(target)
    path = target / name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(SourceError, match=f"{name}.* instead of"):
        EncodedSource.open(target, image_size=64)
    path.unlink()
    with pytest.raises(SourceError, match=name):
        EncodedSource.open(target, image_size=64)


def test_one_copy_serves_every_image_size(target):
    write(target)
    for size in (1, 80):
        source = find_encoded(target, image_size=size, inputs=INPUTS)
        assert source.read(np.array([0]))[0].shape == (1, size, size, 3)
    assert len(EncodedSource.open(target, image_size=81).too_small()) == len(FILES)
    with pytest.raises(SourceError, match="`image_size` must be positive, got 0"):
        EncodedSource.open(target, image_size=0)


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SourceError("bad input")])
def test_nothing_half_written_stays_behind(target, error):
    def interrupted():
        raise error
        yield

    with pytest.raises(type(error)):
        write(target, images=interrupted())
    assert list(cache_folder().iterdir()) == []
