"""Keras' folder is where Keras itself has it, also where a user has no home."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import suite

from keras_loader_bench.bench.plan.default_backend import configured_backend
from keras_loader_bench.loaders.sources import keras_home as rules
from keras_loader_bench.loaders.sources.cache import cache_folder, find_source, write_source
from keras_loader_bench.loaders.sources.cifar10_find import find_cifar10
from keras_loader_bench.loaders.sources.keras_home import expand_user, keras_home, writable_home

FALLBACK = Path("/tmp/.keras")

PLACES = """
import json, os, pathlib, sys

read_only = sys.argv[1]
allowed = os.access
os.access = lambda path, mode: allowed(path, mode) and not str(path).startswith(read_only)

if "nobody" in sys.argv:  # a container's user, who has no name
    import pwd
    def unknown(_): raise KeyError
    pwd.getpwuid = unknown

made = []
def refuse(path, *_, **__):  # `/tmp/.keras` is everybody's: it is not for tests to make it
    made.append(path)
    raise PermissionError
os.makedirs = refuse

from keras_loader_bench.loaders.sources import keras_home as rules
ours = rules.keras_home(), rules.writable_home()
import keras
import keras.src.backend.config  # nothing public tells where `keras.json` is
try:
    keras.utils.get_file("some.txt", origin="file:///nowhere")
except PermissionError:
    data = pathlib.Path(made[-1]).parent
theirs = keras.src.backend.config.keras_home(), data
print()
print(json.dumps([list(map(str, ours)), list(map(str, theirs))]))
"""


@pytest.mark.parametrize(
    ("home", "options"),
    [
        ({"KERAS_HOME": "TMP/keras"}, ("TMP",)),
        ({"HOME": "TMP"}, ("TMP",)),
        ({}, ("/nowhere", "nobody")),
    ],
    ids=["named and read-only", "read-only", "none"],
)
@pytest.mark.long
def test_it_is_where_keras_has_it(tmp_path, home, options):
    kept = {name: value for name, value in os.environ.items() if name not in ("HOME", "KERAS_HOME")}
    home = {name: value.replace("TMP", str(tmp_path)) for name, value in home.items()}
    options = [option.replace("TMP", str(tmp_path)) for option in options]
    done = subprocess.run(
        [sys.executable, "-c", PLACES, *options],
        env=kept | home | {"KERAS_BACKEND": suite.QUICKEST},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    ours, theirs = json.loads(done.stdout.splitlines()[-1])
    assert ours == theirs


@pytest.fixture
def read_only(monkeypatch):
    """Make folders read-only, also for the superuser."""

    def make(folder: Path) -> None:
        allowed = os.access
        monkeypatch.setattr(
            rules.os,
            "access",
            lambda path, mode: allowed(path, mode) and not Path(path).is_relative_to(folder),
        )

    return make


def test_a_user_without_a_home_has_a_folder(monkeypatch):
    monkeypatch.delenv("KERAS_HOME")
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", lambda _: {}["nobody"])
    assert keras_home() == writable_home() == FALLBACK
    assert expand_user("~/data") == Path("~/data"), "nobody knows better"
    configured_backend()


@pytest.mark.parametrize("home", ["~nobody-of-this-name/keras", "relative"])
def test_any_name_of_a_folder_is_an_absolute_path(monkeypatch, tmp_path, home):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_HOME", home)
    assert keras_home() == writable_home() == tmp_path / home


def test_data_are_written_where_they_can_be_and_read_where_they_are(
    keras_home, read_only, monkeypatch, tmp_path
):
    monkeypatch.chdir(tmp_path)
    datasets = keras_home / "datasets"
    datasets.mkdir(parents=True)
    (datasets / "cifar-10-batches-py-target_archive").touch()
    before = cache_folder()
    read_only(keras_home)
    assert before.parent == keras_home
    assert cache_folder() == FALLBACK / before.name
    assert find_cifar10() == datasets / "cifar-10-batches-py-target_archive"


def test_a_prepared_source_in_a_read_only_folder_is_enough(source, read_only, keras_home):
    fields = ("name", "split", "edition", "class_names", "sample_shape", "num_samples", "inputs")
    written = write_source(
        cache_folder() / "some-source",
        chunks=[(source.images, source.labels)],
        **{name: getattr(source, name) for name in fields},
    )
    read_only(keras_home)
    assert find_source(cache_folder() / "some-source", inputs={}) == written
