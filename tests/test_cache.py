"""A source is written whole or not at all, whatever goes wrong and whoever else writes it."""

import errno
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from fake_source import INPUTS, ROWS, chunks, flip_last_byte, write

from keras_loader_bench.loaders.sources import cache
from keras_loader_bench.loaders.sources.cache import cache_folder, find_source
from keras_loader_bench.loaders.sources.image_source import ImageSource, SourceError
from keras_loader_bench.loaders.system import owned_folder

ROOT = Path(__file__).parents[1]


@pytest.fixture
def target():
    return cache_folder() / "some-source"


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
        "from keras_loader_bench.loaders.sources.synthetic import prepare_synthetic as p; "
        "p(1000, 'train')"
    )
    result = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True
    )
    message = result.stderr.splitlines()[-1]
    assert message.startswith("keras_loader_bench.loaders.sources.stored_array.SourceError")
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

    monkeypatch.setattr(owned_folder.tempfile, "mkdtemp", refuse)
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
        "import sys, time; "
        "from keras_loader_bench.loaders.sources.synthetic import prepare_synthetic; "
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


@pytest.mark.parametrize("file", ["images.npy", "labels.npy"])
def test_a_flipped_bit_anywhere_in_a_header_is_noticed_and_mended(target, file):
    write(target)
    right = (target / file).read_bytes()
    for position in range(128):
        wrong = bytearray(right)
        wrong[position] ^= 1 << position % 8
        (target / file).write_bytes(wrong)
        assert find_source(target, inputs=INPUTS) is None, position
    write(target).verify()


def test_a_flipped_bit_anywhere_in_a_description_is_noticed_and_mended(target):
    write(target)
    right = (target / "source.json").read_bytes()
    for position in range(len(right) - 1):  # the last byte ends the line
        wrong = bytearray(right)
        wrong[position] ^= 1 << position % 8
        (target / "source.json").write_bytes(wrong)
        found = find_source(target, inputs=INPUTS)
        assert found is None or wrong.split() == right.split(), position
    write(target).verify()


def test_a_changed_class_name_is_not_believed(target):
    source = write(target)
    text = (target / "source.json").read_text()
    (target / "source.json").write_text(text.replace('"a"', '"z"'))
    with pytest.raises(SourceError, match="it has been changed"):
        ImageSource.open(target)
    assert write(target) == source
