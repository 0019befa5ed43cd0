"""The laws marked `each_backend` hold on every Keras backend, each in a process of its own.

Those of all backends run at the same time, but for those that measure.
"""

import os
import subprocess
import sys

import keras
import pytest
from conftest import PROJECT, TESTS

from keras_loader_bench.bench.plan.option import BACKENDS
from keras_loader_bench.loaders.registry import missing_package

pytestmark = pytest.mark.long

OTHERS = [backend for backend in BACKENDS if backend != keras.backend.backend()]
"""This process runs those of its own backend."""

on_every_other_backend = pytest.mark.parametrize(
    "backend",
    [
        pytest.param(backend, marks=pytest.mark.skipif(bool(reason), reason=str(reason)))
        for backend in OTHERS
        for reason in [missing_package((backend,))]
    ],
)


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
                    str(TESTS),
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


@pytest.fixture(scope="module")
def laws(tmp_path_factory):
    folder = tmp_path_factory.mktemp("laws")
    started = {
        backend: Laws(backend, "each_backend and not measures", folder)
        for backend in OTHERS
        if not missing_package((backend,))
    }
    try:
        for each in started.values():
            each.process.wait()  # or a law that measures would run beside them
        yield started
    finally:
        for each in started.values():
            each.process.kill()


@on_every_other_backend
def test_the_laws_hold_on(backend, laws):
    assert laws[backend].hold()


@pytest.mark.measures
@on_every_other_backend
def test_the_laws_that_measure_hold_on(backend, tmp_path):
    assert Laws(backend, "each_backend and measures", tmp_path).hold()
