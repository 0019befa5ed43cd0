"""A source gives what was written, opens only when it is sound, and travels light."""

import json
import pickle
import shutil
import subprocess
import sys
from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pytest
from fake_source import INPUTS, ROWS, chunks, flip_last_byte, write

from keras_loader_bench.loaders.sources.cache import cache_folder, find_source
from keras_loader_bench.loaders.sources.description import _digest
from keras_loader_bench.loaders.sources.image_source import ImageSource, SourceError

ROOT = Path(__file__).parents[1]


@pytest.fixture
def target():
    return cache_folder() / "some-source"


def test_what_is_written_is_what_is_read(target):
    written = write(target)
    opened = ImageSource.open(target)
    opened.verify()
    assert opened == written
    images, labels = (np.concatenate(part) for part in zip(*chunks(), strict=True))
    np.testing.assert_array_equal(opened.images, images)
    np.testing.assert_array_equal(opened.labels, labels)
    assert (opened.images.dtype, opened.labels.dtype) == (np.uint8, np.uint8)
    assert [path.name for path in cache_folder().iterdir()] == [target.name]


def test_images_are_mapped_once_and_nothing_can_be_written_to(target):
    source = write(target)
    assert isinstance(source.images, np.memmap)
    assert isinstance(source.labels.base, np.memmap), "a byte a sample, and no more"
    assert source.images is source.images
    for array in (source.images, source.labels):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    with pytest.raises(FrozenInstanceError):
        source.num_samples = 1


@pytest.mark.parametrize("num_samples", [1, 7, ROWS])
def test_head_sees_the_first_rows(target, num_samples):
    source = write(target)
    head = source.head(num_samples)
    np.testing.assert_array_equal(head.images, source.images[:num_samples])
    np.testing.assert_array_equal(head.labels, source.labels[:num_samples])
    assert head.num_samples == num_samples
    assert head.head(1).images.shape == (1, 32, 32, 3)
    head.verify()


@pytest.mark.parametrize("num_samples", [-1, 0, 6])
def test_head_refuses_rows_that_are_not_there(target, num_samples):
    head = write(target).head(5)
    with pytest.raises(SourceError, match=rf"`num_samples` must be .* 5.* got {num_samples}\."):
        head.head(num_samples)


def test_a_source_travels_as_a_short_description(target):
    source = write(target).head(5)
    total = int(source.images.sum()) + int(source.labels.sum())  # maps and loads the arrays
    data = pickle.dumps(source)
    assert len(data) < 2048
    program = (
        "import pickle, sys; s = pickle.load(sys.stdin.buffer); "
        "print(int(s.images.sum()) + int(s.labels.sum()), s.num_samples)"
    )
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, input=data, cwd=ROOT, capture_output=True, check=True)
    assert result.stdout.split() == [str(total).encode(), b"5"]


@pytest.mark.parametrize("file", ["images.npy", "labels.npy"])
def test_verify_notices_a_changed_byte(target, file):
    source = write(target)
    flip_last_byte(target / file)
    with pytest.raises(SourceError, match=f"{file}.*SHA-256"):
        ImageSource.open(target).verify()
    with pytest.raises(SourceError, match=f"{file}.*SHA-256"):
        source.head(1).verify()
    assert find_source(target, inputs=INPUTS) is None


def truncate(path):
    path.write_bytes(path.read_bytes()[:-1])


def edit(path, old, new):
    content = path.read_text()
    assert old in content
    description = json.loads(content.replace(old, new))
    description.pop("sha256")
    path.write_text(json.dumps(description | {"sha256": _digest(description)}))


DAMAGES = {
    "no folder": (shutil.rmtree, "source.json"),
    "no description": (lambda t: (t / "source.json").unlink(), "source.json"),
    "no images": (lambda t: (t / "images.npy").unlink(), "images.npy"),
    "truncated images": (lambda t: truncate(t / "images.npy"), "images.npy.*bytes instead of"),
    "truncated labels": (lambda t: truncate(t / "labels.npy"), "labels.npy.*bytes instead of"),
    "not npy": (lambda t: (t / "labels.npy").write_bytes(b"hello" * 9), "labels.npy"),
    "wrong dtype": (
        lambda t: np.save(t / "labels.npy", np.zeros(ROWS, np.int8)),
        "labels.npy.*uint8",
    ),
    "wrong shape": (
        lambda t: np.save(t / "images.npy", np.zeros((ROWS, 3, 32, 32), np.uint8)),
        "images.npy.*shape",
    ),
    "not json": (lambda t: (t / "source.json").write_text("{"), "source.json"),
    "a list": (lambda t: (t / "source.json").write_text("[]"), "source.json"),
    "another format": (lambda t: edit(t / "source.json", '"format": 3', '"format": 1'), "format 3"),
    "no shape": (lambda t: edit(t / "source.json", "\n    3\n", "\n    0\n"), "`sample_shape`"),
    "a key less": (lambda t: edit(t / "source.json", '"split"', '"spilt"'), "source.json"),
    "unknown edition": (lambda t: edit(t / "source.json", "unofficial", "mine"), "`edition`"),
    "no rows": (lambda t: edit(t / "source.json", f": {ROWS}", ": 0"), "`num_samples`"),
    "more rows": (lambda t: edit(t / "source.json", f": {ROWS}", ": 99"), "images.npy.*99"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_source_is_not_opened_and_is_replaced(target, damage):
    do, message = DAMAGES[damage]
    write(target)
    do(target)
    with pytest.raises(SourceError, match=message):
        ImageSource.open(target)
    write(target)
    ImageSource.open(target).verify()
    assert [path.name for path in cache_folder().iterdir()] == [target.name]
