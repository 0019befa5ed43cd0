"""A machine with JAX and torch only: what needs TensorFlow is skipped, all else works."""

import json
import os
import subprocess
import sys

import pytest
import suite
from conftest import PACKAGE, PROJECT, TESTS

from keras_loader_bench.loaders.registry import missing_package

pytestmark = pytest.mark.long

WITHOUT = str(TESTS / "without_tensorflow")


# A run on all backends with the loader that needs TensorFlow and one that does not.
finished = suite.Job(
    __name__,
    *("--keras-backends", "tensorflow,jax,torch", "--loaders", "sequence,tuned_tf_data"),
    *("-k", "feed or train or memory", "--rounds", "1"),
    needs=("jax", "torch"),
    PYTHONPATH=WITHOUT,
).fixture()


def test_what_needs_it_is_skipped_and_all_else_works(finished):
    assert finished.exit_status == 0, finished.output
    for case in finished.run.cases:
        needs_it = "tensorflow" in (case.case.backend,) or case.case.loader == "tuned_tf_data"
        assert case.outcome == ("skipped" if needs_it else "ok"), case.id
        if needs_it:
            assert "`tensorflow` is not installed; `pip install tensorflow`" in (case.error.message)
        else:
            assert case.audit.identical


def environment(tmp_path, **variables):
    env = {name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"}
    path = os.pathsep.join([WITHOUT, str(PACKAGE)])
    return env | {"PYTHONPATH": path, "KERAS_HOME": str(tmp_path)} | variables


@pytest.mark.parametrize("written", [True, False])
def test_the_default_backend_is_one_that_is_installed(written, tmp_path):
    """Keras writes `tensorflow` into its file unasked."""
    if reason := missing_package(("jax",)):
        pytest.skip(reason)
    if written:
        (tmp_path / "keras.json").write_text(json.dumps({"backend": "tensorflow"}))
    code = (
        "from keras_loader_bench.bench.plan.default_backend import configured_backend;"
        "print(configured_backend())"
    )
    for variables, expected in (({}, "jax"), ({"KERAS_BACKEND": "tensorflow"}, "tensorflow")):
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=PROJECT,
            env=environment(tmp_path, **variables),
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.split() == [expected]


def test_the_audit_of_any_input_works(tmp_path):
    if reason := missing_package(("jax",)):
        pytest.skip(reason)
    (tmp_path / "seq.py").write_text(
        "import keras, numpy as np\n"
        "class Numbers(keras.utils.PyDataset):\n"
        "    def __len__(self): return 5\n"
        "    def __getitem__(self, i):\n"
        "        return np.full((4, 1), i, 'float32'), np.full((4,), i, 'float32')\n"
        "sequence = Numbers()\n"
    )
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "keras_loader_bench.loaders.audit",
            "seq:sequence",
            "--keras-backend",
            "jax",
        ],
        cwd=tmp_path,
        env=environment(tmp_path, PYTHONPATH=os.pathsep.join([WITHOUT, str(PACKAGE)])),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "tensorflow" not in done.stdout.lower()
