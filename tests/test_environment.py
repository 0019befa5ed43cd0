"""A run says which version of the suite measured it."""

import shutil
import subprocess

import numpy as np
import pytest

from keras_loader_bench.bench.sensors import environment as environment_module
from keras_loader_bench.bench.sensors.environment import _suite, describe


@pytest.mark.skipif(shutil.which("git") is None, reason="Git is not installed")
def test_a_checkout_has_its_commit_and_whether_it_was_changed(tmp_path):
    def git(*command):
        name = ("-c", "user.name=x", "-c", "user.email=x@example.org")
        command = ["git", "-C", str(tmp_path), *name, *command]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    assert _suite(tmp_path).commit is None, "no checkout"
    git("init")
    assert _suite(tmp_path).commit is None, "no commit yet"
    (tmp_path / "file").write_text("one")
    git("add", "file")
    git("commit", "-m", "one")
    assert (_suite(tmp_path).commit, _suite(tmp_path).changed) == (git("rev-parse", "HEAD"), False)
    (tmp_path / "file").write_text("two")
    assert _suite(tmp_path).changed


def test_the_environment_has_the_suite_and_the_cores_of_the_machine():
    environment = describe()
    assert environment.suite is not None
    assert environment.machine_cores >= environment.cores >= 1


def test_a_checkout_that_is_not_installed_has_the_version_of_its_project(tmp_path, monkeypatch):
    monkeypatch.setattr(environment_module, "_version", lambda package: None)
    assert _suite(tmp_path).version is None
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.2.3"\n')
    assert _suite(tmp_path).version == "1.2.3"


def test_a_package_has_its_version_by_whatever_name_it_was_installed(tmp_path, monkeypatch):
    """As tensorflow-cpu and tf-nightly bring `tensorflow`."""
    about = tmp_path / "frame_nightly-1.5.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: frame-nightly\nVersion: 1.5\n")
    (about / "top_level.txt").write_text("frame\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(environment_module, "PACKAGES", ["frame", "not_there", "numpy"])
    environment_module._distributions.cache_clear()
    packages = describe().packages
    assert packages == {"frame": "1.5", "numpy": np.__version__}
    environment_module._distributions.cache_clear()
