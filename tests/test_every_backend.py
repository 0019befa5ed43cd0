"""The laws marked `each_backend` hold on every Keras backend, each in a process of its own."""

import os
import subprocess
import sys

import keras
import pytest
from conftest import PROJECT, TESTS

from bench.cases import BACKENDS
from loaders.registry import missing_package


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_laws_hold_on(backend, tmp_path):
    if backend == keras.backend.backend():
        pytest.skip("this process runs them")
    if reason := missing_package((backend,)):
        pytest.skip(reason)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "--no-header", "-m", "each_backend"),
            *("-p", "no:cacheprovider", "--basetemp", str(tmp_path / "tests"), str(TESTS)),
        ],
        cwd=PROJECT,
        env={**os.environ, "KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
    )
    print(done.stdout[-20_000:], done.stderr[-5_000:])  # pytest shows it where the test fails
    assert done.returncode == 0
