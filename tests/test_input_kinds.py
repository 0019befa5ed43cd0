"""The command, over every kind of input that has once gone wrong: the right answer for each."""

import os
import subprocess
import sys

import pytest
from conftest import PACKAGE, TESTS

from keras_loader_bench.loaders.registry import missing_package

pytestmark = pytest.mark.long

WHOLE = "Every sample once an epoch, in fit, evaluate and predict"
NO_TEXT = "takes no text, and a batch has an array of"
NO_TENSOR = "cannot be given `x`, of which Keras makes no tensor"
CHANGED = "fit is not given what the input yields"


def only(backend, answer, *, others=None):
    """Answers by backend: one differs from the others."""
    return dict.fromkeys(("jax", "tensorflow", "torch"), others) | {backend: answer}


ANSWERS = {
    # Dtypes.
    "odd_inputs:bfloat16": WHOLE,
    "odd_inputs:float8": only("torch", NO_TENSOR, others=WHOLE),
    "odd_inputs:float64": WHOLE,
    "odd_inputs:thirds": WHOLE,
    "odd_inputs:large_ids": only("jax", CHANGED, others=WHOLE),  # they need more than 32 bits
    "odd_inputs:uint16": WHOLE,
    "odd_inputs:uint32": WHOLE,
    "odd_inputs:torch_bfloat16": only("torch", WHOLE, others=NO_TENSOR),
    "inputs:Wide": WHOLE,
    "odd_inputs:nan": WHOLE,
    "odd_inputs:strings": NO_TEXT,
    "odd_inputs:objects": NO_TEXT,
    "odd_inputs:tf_strings": only("tensorflow", WHOLE, others=NO_TEXT),
    "odd_inputs:tf_strings_in_a_dictionary": only("tensorflow", WHOLE, others=NO_TEXT),
    # Forms.
    "odd_inputs:scipy_sparse": only("jax", WHOLE, others=NO_TENSOR),
    "odd_inputs:tf_sparse": only("torch", NO_TENSOR, others=WHOLE),
    "odd_inputs:tf_ragged": only("torch", NO_TENSOR, others=WHOLE),
    "odd_inputs:labels_in_a_list": only("jax", "`y` is a list that holds an int, not an array"),
    "odd_inputs:four_parts": only("jax", "it is a tuple of 4; `fit` takes"),
    "odd_inputs:padded": WHOLE,
    "odd_inputs:EmptyLast": only("jax", "batch 10 has no samples"),
    "odd_inputs:FloatLength": only("jax", "must return the number of batches as an `int`"),
    "inputs:weighted_arrays": WHOLE,
    "inputs:healthy": WHOLE,
    # Bridged.
    "odd_inputs:bridged": WHOLE,
    "odd_inputs:bridged_padded": only("jax", WHOLE),
    "odd_inputs:bridged_without_labels": only("jax", WHOLE),
    # Contents and orders.
    "odd_inputs:alike": only("jax", WHOLE),
    "odd_inputs:augments": only("jax", "No two readings have the same samples"),
    "inputs:Reshuffles": only("jax", WHOLE),
    # With Keras' own threads.
    "inputs:stock": only("tensorflow", WHOLE, others="batches missing"),
    # With failures, and without an end.
    "inputs:RaisesLater": only("jax", "KeyError: 'colour"),
    "inputs:Raises": only("jax", "KeyError: 'never'"),
    "inputs:Endless": only("jax", "is an endless PyDataset"),
    "grain_inputs:endless": only("jax", "is an endless grain dataset"),
    "grain_inputs:endless_without_length": only("jax", "without an end in its first"),
    # Of other libraries.
    "inputs:generator": WHOLE,
    "tf_inputs:shuffled": WHOLE,
    "torch_inputs:shuffled": WHOLE,
    "torch_inputs:with_a_spawned_worker": only("torch", WHOLE),
    "grain_inputs:shuffled": WHOLE,
    "grain_inputs:loader_with_a_process": only("jax", WHOLE),
}
"""Inputs of tests/audited -> what must be said of each: on all backends, or by backend. `None`: is
not tried there, as it takes seconds and what answers is the same code on every backend."""

PACKAGES = {
    "tf_inputs": "tensorflow",
    "odd_inputs:tf": "tensorflow",
    "torch_inputs": "torch",
    "odd_inputs:torch": "torch",
    "grain_inputs": "grain",
    "odd_inputs:scipy": "scipy",
}
"""Beginning of a name -> what must be installed."""


def answers_on(backend):
    """Return what must be said of each input that can be tried on a backend."""
    asked = {}
    for name, answer in ANSWERS.items():
        packages = [package for begin, package in PACKAGES.items() if name.startswith(begin)]
        wanted = answer[backend] if isinstance(answer, dict) else answer
        if wanted is not None and not missing_package(packages):
            asked[name] = wanted
    return asked


@pytest.mark.parametrize("backend", ["jax", "tensorflow", "torch"])
def test_each_input_gets_its_answer(backend, tmp_path):
    if reason := missing_package((backend,)):
        pytest.skip(reason)
    wanted = answers_on(backend)
    path = os.pathsep.join([str(PACKAGE), str(TESTS / "audited")])
    run = subprocess.run(
        [
            *(sys.executable, "-m", "keras_loader_bench.bench", "run", "bench_feed.py", "--quick"),
            *("--input", ",".join(wanted), "--no-remedies", "--keras-backends", backend),
            *("--results-dir", "run"),
        ],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    said = dict.fromkeys(wanted, "")
    for block in run.stdout.partition("loaders compared")[2].split("\n\n"):
        name = block.strip("=\n ").partition(" on ")[0]
        if name in said:
            said[name] = " ".join(block.split())
            assert "Traceback" not in said[name]
    wrong = {name: said[name] for name, text in wanted.items() if text not in said[name]}
    assert not wrong, run.stdout
