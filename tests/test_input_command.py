"""`keras-loader-bench input`, from any folder, on inputs whose right answers are known."""

import os
import re
import subprocess
import sys

import pytest
from conftest import PACKAGE, TESTS

from keras_loader_bench.bench.plan.inputs import INPUTS, WITH_INPUT
from keras_loader_bench.bench.record.reader import read_run


def command(*arguments, folder, **environment):
    """Run the command in a folder that has nothing to do with this project."""
    path = os.pathsep.join([str(PACKAGE), str(TESTS / "audited")])
    return subprocess.run(
        [sys.executable, "-m", "keras_loader_bench.bench", "input", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": path} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--input", "train"), "`--input` names `module:attribute`"),
        (("--input", "re:b,re:b"), "The input `re:b` is given twice; remove one."),
        (("--input", "nowhere:b"), "there is no module `nowhere`, neither in"),
        (("--input", "re:b", "--model", "nowhere.at:b"), "there is no module `nowhere`"),
        (("--input", "re:b", "--loaders", "numpy"), "`--loaders` cannot change"),
        (("--input", "re:b", "--batch-sizes", "8"), "`--batch-sizes` cannot change"),
        (("--input", "re:b", "--steps", "-1"), "must not be negative, got -1"),
        (("--input", "re:b", "--fail-if", "slower=5%"), "must be `wait=` and a percentage"),
        (("--model", "re:b"), "`--model` belongs to `--input`; name your input or use `--models`."),
        (("--steps", "5"), "`--steps` belongs to `--input`"),
        (("--fail-if", "wait=5%"), "`--fail-if` belongs to `--input`"),
        (("--no-remedies",), "`--no-remedies` belongs to `--input`"),
    ],
)
def test_wrong_arguments_are_refused_in_one_line(asking, arguments, message):
    answer = asking("bench/", "--benchmark-only", *arguments, "--dry-run")
    assert answer.returncode == 4
    assert message in answer.stderr
    assert "Traceback" not in answer.stderr


def test_a_dry_run_lists_the_cases_of_each_input(asking):
    answer = asking(
        *("bench/", "--benchmark-only", "--input", "json:make_data", "--dry-run"),
        *("--model", "json:make_model", "--keras-backends", "jax,torch", "--no-remedies"),
    )
    assert answer.returncode == 0, answer.stderr
    for backend in ("jax", "torch"):
        assert f"feed-{backend}-json:make_data" in answer.stdout
        assert f"train-{backend}-json:make_data-json:make_model" in answer.stdout
        assert f"memory-{backend}-json:make_data" in answer.stdout


def test_without_a_name_the_usage_is_printed(tmp_path):
    answer = command(folder=tmp_path)
    assert answer.returncode == 2
    assert "keras-loader-bench input MODULE:ATTRIBUTE" in answer.stderr


def test_the_help_lists_the_options_of_inputs_and_no_others(tmp_path):
    answer = command("train:make_data", "--help", folder=tmp_path)
    assert answer.returncode == 0
    flags = set(re.findall(r"^  (--[a-z-]+)", answer.stdout, re.MULTILINE))
    assert flags == WITH_INPUT - {"--input"} | {"--resume"}
    assert f"(default: {INPUTS.processes}," in " ".join(answer.stdout.split())


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A quick run of an input by the book, and of one that is random, with the suite's models."""
    folder = tmp_path_factory.mktemp("foreign")
    (folder / "bench").mkdir()
    (folder / "bench" / "__init__.py").write_text("raise RuntimeError")
    arguments = ("paced_inputs:ten_ms", "inputs:Augments", "--model", "paced_inputs:slow_step")
    gate = ("--fail-if", "wait=5%")
    return command(*arguments, "--quick", *gate, "--results-dir", "run", folder=folder), folder


@pytest.mark.long
def test_the_answer_stands_on_the_terminal_and_in_the_report(measured):
    answer, folder = measured
    report = (folder / "run" / "report.md").read_text()
    assert "paced_inputs:ten_ms on tensorflow: Paced, a PyDataset; batches of 8" in answer.stdout
    for text in (
        "Every sample once an epoch, in fit, evaluate and predict (800 samples, 100 batches).",
        "Where a batch's",
    ):
        assert text in " ".join(answer.stdout.split())
        assert text in report.replace("\\", "")
    assert (folder / "run" / "report.html").exists()


@pytest.mark.long
def test_a_gate_without_an_interval_has_a_status_of_its_own(measured):
    answer, folder = measured
    assert {each.outcome for each in read_run(folder / "run").cases} == {"ok"}
    assert answer.returncode == 3, answer.stdout


@pytest.mark.long
def test_random_contents_are_measured_and_said_to_be_random(measured):
    answer, _ = measured
    assert "No two readings have the same samples" in answer.stdout
