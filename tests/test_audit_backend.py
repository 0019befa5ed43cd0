"""The audit uses the backend that a module chooses, and seeds what the module imports first.

Keras and the frameworks are stand-ins here, so that only the order of imports is tried.
"""

import json
import os
import subprocess
import sys

import pytest
from conftest import PACKAGE

STAND_INS = {
    "torch": "raise ImportError('not here')",
    "tensorflow": """
        import sys, types
        random = types.SimpleNamespace(set_seed=lambda seed: print("seeded", seed, file=sys.stderr))
    """,
    "keras": """
        import os, types
        __version__ = "3"
        _name = os.environ.get("KERAS_BACKEND", "tensorflow")
        backend = types.SimpleNamespace(backend=lambda: _name)
        utils = types.SimpleNamespace(set_random_seed=lambda seed: None)
    """,
    "chooses": """
        import os
        os.environ["KERAS_BACKEND"] = "jax"
        import keras, tensorflow
        def batches():
            yield 1
    """,
    "leaves_it": """
        def batches():
            yield 1
    """,
    "chooses_late": """
        def batches():
            import os
            os.environ["KERAS_BACKEND"] = "jax"
            return more()
        def more():
            yield 1
    """,
}


@pytest.fixture
def run(tmp_path):
    for name, code in STAND_INS.items():
        lines = code.splitlines()
        (tmp_path / f"{name}.py").write_text("\n".join(line[8:] or line for line in lines) + "\n")
    (tmp_path / "torch.py").write_text(STAND_INS["torch"])

    def run(module, **asked):
        settings = {"target": f"{module}:batches", "backend": None, "steps": None, "batches": None}
        settings |= {"shuffle": True, "patience_s": 60, "samples": None, "identify": None, **asked}
        variables = {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(PACKAGE)])}
        variables |= {"KERAS_BACKEND": asked["backend"]} if asked.get("backend") else {}
        environment = {n: v for n, v in os.environ.items() if n != "KERAS_BACKEND"} | variables
        done = subprocess.run(
            [sys.executable, "-m", "keras_loader_bench.loaders.audit.child", json.dumps(settings)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        events = [json.loads(line) for line in done.stdout.splitlines()]
        return {event["event"]: event for event in events}, done.stderr

    return run


@pytest.mark.parametrize(
    ("module", "backend"),
    [("chooses", "jax"), ("chooses_late", "jax"), ("leaves_it", "tensorflow")],
)
def test_the_backend_that_a_module_chooses_is_audited(run, module, backend):
    events, _ = run(module)
    assert events["environment"]["backend"] == backend


def test_an_option_that_contradicts_the_module_is_refused(run):
    events, _ = run("chooses", backend="torch")
    assert (
        "`chooses` sets Keras' backend to `jax`, and --keras-backend asks for `torch`"
        in (events["refused"]["message"])
    )
    assert "refused" not in run("chooses", backend="jax")[0]
    assert run("leaves_it", backend="torch")[0]["environment"]["backend"] == "torch"


def test_tensorflow_is_seeded_where_a_module_imports_it(run):
    _, printed = run("chooses")
    assert "seeded 0" in printed
