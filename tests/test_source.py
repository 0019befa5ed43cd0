"""A source is written whole or not at all, opens only when it is sound, and travels light."""

import errno
import os
import pickle
import shutil
import subprocess
import sys
import time
from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pytest

from loaders import cache
from loaders.cache import cache_folder, find_source, write_source
from loaders.source import ImageSource, SourceError

ROOT = Path(__file__).parents[1]
INPUTS = {"file": "0" * 64}
ROWS = 10


def chunks(rows=ROWS, size=4, seed=0):
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (rows, 32, 32, 3), dtype=np.uint8)
    labels = (np.arange(rows) % 3).astype(np.uint8)
    return [(images[i : i + size], labels[i : i + size]) for i in range(0, rows, size)]


def write(target, parts=None, **changes):
    arguments = {
        "name": "cifar10",
        "split": "train",
        "edition": "unofficial",
        "class_names": ("a", "b", "c"),
        "num_samples": ROWS,
        "chunks": chunks() if parts is None else parts,
        "inputs": INPUTS,
    }
    return write_source(target, **{**arguments, **changes})


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


def flip_last_byte(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


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
    path.write_text(content.replace(old, new))


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
    "another format": (lambda t: edit(t / "source.json", '"format": 1', '"format": 0'), "format 1"),
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


def test_a_file_in_the_way_is_replaced(target):
    target.parent.mkdir(parents=True)
    target.write_text("not a folder")
    write(target).verify()


def test_a_source_of_other_inputs_is_not_trusted(target):
    write(target)
    assert find_source(target, inputs=INPUTS) is not None
    assert find_source(target, inputs={"file": "1" * 64}) is None


def fails_after_one_chunk(error):
    yield chunks()[0]
    raise error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SourceError("bad input"), ValueError()])
def test_nothing_half_written_stays_behind(target, error):
    with pytest.raises(type(error)):
        write(target, fails_after_one_chunk(error))
    assert list(cache_folder().iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fills_up_is_one_clear_error(target, number):
    full = OSError(number, os.strerror(number))
    with pytest.raises(SourceError, match=r"keras-loader-bench`.*1 MiB needed.*KERAS_HOME"):
        write(target, fails_after_one_chunk(full))
    assert list(cache_folder().iterdir()) == []


def test_a_write_that_fails_is_one_clear_error(target):
    program = (
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000)); "
        "from loaders.synthetic import prepare_synthetic; prepare_synthetic(1000, 'train')"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True
    )
    message = result.stderr.splitlines()[-1]
    assert message.startswith("loaders.source.SourceError")
    assert str(cache_folder()) in message
    assert "File too large" in message
    assert list(cache_folder().iterdir()) == []


def test_too_little_space_is_noticed_before_anything_is_written(target, monkeypatch):
    usage = shutil.disk_usage("/")._replace(free=2**20)
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(SourceError, match=r"3 MiB needed, 1 MiB free.*Free 2 MiB.*KERAS_HOME"):
        write(target, iter(()), num_samples=1000)
    assert list(cache_folder().iterdir()) == []


def test_a_cache_that_cannot_be_made_is_one_clear_error(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "file"))
    with pytest.raises(SourceError, match=r"keras-loader-bench.*Not a directory.*KERAS_HOME"):
        write(cache_folder() / "some-source")


def test_a_read_only_cache_is_one_clear_error(target, monkeypatch):
    def refuse(**_):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(cache.tempfile, "mkdtemp", refuse)
    with pytest.raises(SourceError, match=r"keras-loader-bench.*Read-only.*KERAS_HOME"):
        write(target)


def test_a_read_only_cache_that_has_the_source_is_enough(target, monkeypatch):
    write(target)
    monkeypatch.setattr(cache, "temporary_folder", None)
    assert find_source(target, inputs=INPUTS) is not None


@pytest.mark.parametrize(
    "parts",
    [
        chunks(rows=ROWS - 1),
        chunks(rows=ROWS + 1),
        [(np.zeros((ROWS, 32, 32, 3), np.int8), np.zeros(ROWS, np.uint8))],
        [(np.zeros((ROWS, 3, 32, 32), np.uint8), np.zeros(ROWS, np.uint8))],
        [(np.zeros((ROWS - 1, 32, 32, 3), np.uint8), np.zeros(ROWS, np.uint8))],
    ],
    ids=["too few", "too many", "dtype", "shape", "unequal lengths"],
)
def test_a_writer_is_held_to_its_promise(target, parts):
    with pytest.raises(ValueError, match="chunk"):
        write(target, parts)
    assert list(cache_folder().iterdir()) == []


def test_who_comes_second_uses_what_the_first_has_written(target):
    def interrupted():
        yield chunks()[0]
        write(target)
        inodes.append(target.stat().st_ino)
        yield from chunks()[1:]

    inodes = []
    second = write(target, interrupted())
    assert target.stat().st_ino == inodes[0]
    second.verify()
    assert [path.name for path in cache_folder().iterdir()] == [target.name]


def test_who_comes_second_replaces_what_is_unusable(target):
    def interrupted():
        yield chunks()[0]
        write(target)
        flip_last_byte(target / "images.npy")
        yield from chunks()[1:]

    write(target, interrupted()).verify()
    assert [path.name for path in cache_folder().iterdir()] == [target.name]


def test_two_processes_prepare_the_same_source_at_once():
    program = (
        "import sys, time; from loaders.synthetic import prepare_synthetic; "
        "time.sleep(max(0, float(sys.argv[1]) - time.time())); "
        "s = prepare_synthetic(20_000, 'train'); s.verify(); print(s.images_sha256, s.folder)"
    )
    command = [sys.executable, "-c", program, str(time.time() + 1.0)]
    processes = [
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    (first, errors), (second, more_errors) = (process.communicate() for process in processes)
    assert [process.returncode for process in processes] == [0, 0], errors + more_errors
    assert first == second
    assert len(list(cache_folder().iterdir())) == 1


def test_what_a_killed_process_left_is_cleaned_up_but_not_what_is_in_use(target):
    old, new = cache_folder() / ".tmp-old", cache_folder() / ".tmp-new"
    for folder in (old, new):
        folder.mkdir(parents=True)
        (folder / "images.npy").write_bytes(b"half")
    for path in (old, old / "images.npy"):
        os.utime(path, (0, 0))
    write(target)
    assert not old.exists()
    assert new.exists()
