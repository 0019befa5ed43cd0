"""A training round is timed from its second step on: it has few, and an epoch has many."""

import time
from dataclasses import asdict

import keras
import pytest

from keras_loader_bench.bench.child.backends import current
from keras_loader_bench.bench.child.worker import Worker
from keras_loader_bench.bench.plan.case import Case
from keras_loader_bench.bench.record.process_record import Round
from keras_loader_bench.bench.report.figures.throughput import round_figures

START_S = 0.5
SAMPLES = 230
BATCH = 64


def case_of(bench, **options):
    options = {"batch_size": BATCH, "pixels": "float32", "samples": SAMPLES} | options
    return Case(bench=bench, backend=keras.backend.backend(), loader="sequence", **options)


@pytest.fixture
def ready(source):
    """Returns a function that makes the worker of a case, whose loader takes long to begin."""

    def make(case):
        worker = Worker(source=str(source.folder), samples=case.samples, case=asdict(case), seed=0)
        for step in ("import_framework", "make_model", "make_ceiling", "make_loader"):
            getattr(worker, step)()
        fit_args = worker._loader.fit_args

        def late(rows):
            time.sleep(START_S)
            return fit_args(rows)

        worker._loader.fit_args = late
        return worker

    return make


def one_round(worker, loader="loader"):
    worker.prepare_round(loader=loader, epoch=1, samples=SAMPLES)
    return worker.round()


@pytest.mark.each_backend
def test_the_start_of_fit_does_not_count_in_a_training_round(ready):
    worker = ready(case_of("train", model="mlp"))
    one_round(worker)  # compiles for the last batch, which is smaller
    found = one_round(worker)
    assert found["seconds"] > START_S
    assert found["steady_seconds"] < START_S
    fetched = current().FETCHES_BEFORE_STEP  # then the last batch, which is smaller, is not timed
    assert found["steady_samples"] == (3 * BATCH if fetched else SAMPLES - BATCH)
    assert one_round(worker, "ceiling")["steady_samples"] == found["steady_samples"]


@pytest.mark.each_backend
def test_all_of_a_round_counts_in_feeding_and_on_an_accelerator(ready):
    assert "steady_seconds" not in one_round(ready(case_of("feed")))
    worker = ready(case_of("train", model="mlp"))
    worker._on_accelerator = True
    assert "steady_seconds" not in one_round(worker)


def test_figures_of_training_are_those_without_the_start():
    measured = Round(
        samples=256, seconds=2.0, ceiling_seconds=1.0, cpu_seconds=1.0, steady_samples=192
    )
    steady = {"steady_seconds": 0.8, "ceiling_steady_seconds": 0.6}
    figures = round_figures(case_of("train"), [Round(**asdict(measured) | steady)])
    assert figures["rate"] == [240.0]
    assert figures["utilization"] == [pytest.approx(0.75)]
    assert figures["cpu"] == [1000 / 256]
    # One execution alone has no second step, and older runs did not note it.
    older = Round(**asdict(measured) | {"steady_samples": None})
    assert round_figures(case_of("train"), [older])["rate"] == [128.0]
