"""Devices and options of a step, from the command line to the report."""

import os
from types import SimpleNamespace

import pandas as pd
import pytest
import suite
from conftest import TESTS
from fake_nvml import FakeCard, FakeNvml

from keras_loader_bench.bench.parent.measurement import Measurement
from keras_loader_bench.bench.parent.process import CaseError
from keras_loader_bench.bench.parent.timed_case import FIRST_BATCH_REPEATS
from keras_loader_bench.bench.plan.matrix import cases_of
from keras_loader_bench.bench.plan.protocol import Protocol
from keras_loader_bench.bench.report import read_run
from keras_loader_bench.bench.report.figures.rows import rows_from_run
from keras_loader_bench.bench.sensors import card_monitor
from keras_loader_bench.bench.sensors.nvml import Card

OPTIONS = {
    "backend": ["tensorflow"],
    "loader": ["sequence"],
    "batch_size": [64],
    "pixels": ["float32"],
    "samples": [512],
}


def test_what_nobody_asked_for_is_not_in_the_id():
    (case,) = cases_of("feed", OPTIONS)
    assert str(case) == "feed-tensorflow-sequence-w0-b64-float32-n512"


def test_every_option_is_part_of_the_case():
    asked = {
        "device": ["gpu"],
        "precision": ["mixed_bfloat16"],
        "jit_compile": ["off"],
        "steps_per_execution": [8],
    }
    (case,) = cases_of("train", OPTIONS | asked)
    ending = "gpu-mixed_bfloat16-jit_off-spe8-n512"
    assert str(case) == f"train-tensorflow-sequence-w0-b64-float32-{ending}"


def test_only_training_cases_have_a_model_to_choose():
    models = {"model": ["cnn", "mlp"]}
    assert [case.fitted_model for case in cases_of("train", OPTIONS | models)] == ["cnn", "mlp"]
    for bench in ("feed", "memory"):
        assert [case.fitted_model for case in cases_of(bench, OPTIONS | models)] == ["null"]


def test_steps_are_emulated_only_where_their_times_are_given():
    steps = {"step_ms": [0.5, 10.0], "step_cpu": [True]}
    assert cases_of("emulated", OPTIONS) == []
    cases = cases_of("emulated", OPTIONS | steps)
    assert [str(case).partition("float32-")[2] for case in cases] == [
        "cpustep0.5ms-n512",
        "cpustep10ms-n512",
    ]
    (case,) = cases_of("feed", OPTIONS | steps)
    assert case.step_ms is None
    assert not case.step_cpu


@pytest.mark.parametrize("backend", ["jax", "tensorflow", "torch"])
def test_several_steps_an_execution_are_skipped_on_torch(backend):
    (case,) = cases_of("feed", OPTIONS | {"backend": [backend], "steps_per_execution": [4]})
    assert (case.unsupported is not None) == (backend == "torch")


# Two policies, several steps an execution.
finished = suite.Job(
    __name__,
    *("--loaders", "sequence", "-k", "feed"),
    *("--precision", "float32,mixed_bfloat16", "--steps-per-execution", "3"),
    *("--jit-compile", "off", "--device", "cpu"),
).fixture()


@pytest.mark.long
def test_every_row_says_what_its_options_were(finished):
    assert finished.exit_status == 0, finished.output
    frame = pd.read_csv(finished.folder / "summary.csv")
    assert frame.precision.tolist() == ["float32", "mixed_bfloat16"]
    assert set(frame.steps_per_execution) == {3}
    assert set(frame.jit_compile) == {"off"}
    assert set(frame.device) == {"cpu"}
    assert frame.identical.all(), "also with several steps an execution"
    report = (finished.folder / "report.md").read_text()
    assert "device cpu, jit\\_compile off, 3 steps per execution, 512 samples" in report
    assert "| precision |" in report


emulated = suite.Job(
    __name__,
    *("--loaders", "sequence", "-k", "emulated"),
    *("--step-ms", "1,20", "--rounds", "6", "--round-seconds", "0.2"),
).fixture()


@pytest.mark.long
def test_an_emulated_run_has_a_case_for_each_step(emulated):
    assert emulated.exit_status == 0, emulated.output
    (row,) = rows_from_run(read_run(emulated.folder))
    assert [step.step_ms for step in row.emulated] == [1, 20]
    assert row.identical
    for result in emulated.run.cases:
        step_s = result.case.step_ms / 1000
        for measured in result.rounds:
            steps = -(-measured.samples // 64)
            for name in ("steady_seconds", "ceiling_steady_seconds"):
                assert getattr(measured, name) >= 0.95 * (steps - 1) * step_s
            assert measured.seconds > measured.steady_seconds
    assert (emulated.folder / "emulated.png").stat().st_size > 0


# A run in which backends claim to use an invented card.
with_card = suite.Job(
    __name__,
    *("--loaders", "sequence", "-k", "train", "--device", "gpu", "--rounds", "3"),
    PYTHONPATH=os.pathsep.join([str(TESTS / "fake_card"), str(TESTS)]),
    CUDA_VISIBLE_DEVICES="0",  # of the invented cards
).fixture()


@pytest.mark.long
def test_a_case_on_a_card_is_watched(with_card):
    assert with_card.exit_status == 0, with_card.output
    assert with_card.run.environment.card.name == "NVIDIA Test 100"
    for result in with_card.run.cases:
        assert result.device == "Test 100"
        for measured in result.rounds:
            assert measured.samples == 512 * measured.epochs, "whole epochs"
            assert measured.seconds >= 0.2, "of a quick run; else 2"
        card = result.processes[0].card
        assert card.idle.power_w == 200
        assert card.readings[-1].t >= result.rounds[-1].card_end, "of these rounds and no later"
        for measured in result.rounds:
            length = measured.card_end - measured.card_start
            assert length >= measured.seconds
            assert measured.energy_j == pytest.approx(200 * length, rel=0.05)
            assert measured.energy_source == "counter"
        assert len(result.processes[0].time_to_first_batch_s) == FIRST_BATCH_REPEATS
        assert result.processes[0].device_memory.peak_device_bytes == 700 * 2**20
        assert result.processes[0].device_memory.device_bytes_in_use == 300 * 2**20
    report = (with_card.folder / "report.md").read_text()
    assert "Training on Test 100." in report
    assert "| device memory (MiB) |" in report
    assert "not available" not in report


def test_a_backend_without_an_accelerator_is_a_case_that_is_skipped_where_one_is_asked_for():
    """What the test below sees of a whole run."""

    class Child:
        def call(self, request):
            assert request == "import_framework", "nothing is done after it"
            return {"version": "1.0", "device": "cpu"}

    results = SimpleNamespace(add_backend=lambda backend, description: None)
    asked = OPTIONS | {"device": ["gpu"]}
    (case,) = cases_of("feed", asked)
    known: dict = {"protocol": Protocol(), "source": None, "progress": None}
    with pytest.raises(CaseError, match="tensorflow sees no accelerator") as caught:
        Measurement(case, results=results, **known).import_framework(Child())
    assert caught.value.outcome == "skipped"


@pytest.mark.parametrize(
    ("bench", "cards", "refused"),
    [("train", 1, True), ("train", 2, False), ("train", 0, False), ("feed", 1, False)],
)
def test_ranks_that_train_together_need_a_gpu_each(bench, cards, refused, monkeypatch):
    """On one H100, `DistributedDataParallel` and JAX raised NCCL's "Duplicate GPU detected"."""
    library = FakeNvml(*[FakeCard() for _ in range(cards)])
    monkeypatch.setattr(card_monitor, "Card", lambda which: Card(which, library))
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    child = SimpleNamespace(call=lambda request: {"version": "1.0", "device": "Test 100"})
    results = SimpleNamespace(add_backend=lambda backend, description: None)
    (case,) = cases_of(bench, OPTIONS | {"backend": ["torch"], "ranks": [2]})
    known: dict = {"protocol": Protocol(), "source": None, "progress": None}
    measurement = Measurement(case, results=results, **known)
    if not refused:
        return measurement.import_framework(child)
    with pytest.raises(
        CaseError, match="2 ranks train together on a GPU each, and 1 can"
    ) as caught:
        measurement.import_framework(child)
    assert caught.value.outcome == "skipped"


@pytest.mark.long
def test_a_backend_that_sees_no_accelerator_is_skipped_where_one_is_asked_for(tmp_path):
    options = ("--loaders", "sequence", "-k", "feed", "--device", "gpu")
    done = suite.run(*options, results=tmp_path / "run")
    if done.run.cases[0].outcome == "ok":
        pytest.skip("this machine has an accelerator")
    assert done.exit_status == pytest.ExitCode.TESTS_FAILED, "nothing was measured"
    assert "Nothing was measured: every case was skipped." in done.output
    (case,) = done.run.cases
    assert case.outcome == "skipped"
    assert "tensorflow sees no accelerator" in case.error.message
