"""Runs the laws marked `each_backend` on the other Keras backends, each in a process of its own."""

import os
import subprocess
import sys

import keras
import pytest
from conftest import PROJECT, TESTS

from keras_loader_bench.loaders.registry import BACKENDS, missing_package

OTHERS = [backend for backend in BACKENDS if backend != keras.backend.backend()]
"""This process runs the laws on its own backend."""

on_every_other_backend = pytest.mark.parametrize(
    "backend",
    [
        pytest.param(backend, marks=pytest.mark.skipif(bool(reason), reason=str(reason)))
        for backend in OTHERS
        for reason in [missing_package((backend,))]
    ],
)


def files_of_laws():
    """The files that name the mark: importing all others takes a process seconds."""
    files = sorted(TESTS.glob("test_*.py"))
    return [str(path) for path in files if "mark.each_backend" in path.read_text()]


class Laws:
    """Laws that hold on a backend, in a process that begins at once."""

    def __init__(self, backend, marks, folder):
        self._folder = folder / backend
        self._folder.mkdir()
        self._output = self._folder / "output"
        with self._output.open("w") as output:
            self.process = subprocess.Popen(
                [
                    *(sys.executable, "-m", "pytest", "-q", "--no-header", "-m", marks),
                    *("-p", "no:cacheprovider", "--basetemp", str(self._folder / "tests")),
                    *files_of_laws(),
                ],
                cwd=PROJECT,
                env={**os.environ, "KERAS_BACKEND": backend},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def hold(self):
        exit_status = self.process.wait()
        print(self._output.read_text()[-20_000:])  # pytest shows it where the test fails
        return exit_status == 0
