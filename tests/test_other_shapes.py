"""Sources describe themselves: images of another size, with another number of classes."""

from dataclasses import asdict

import numpy as np
import pytest
from registered import BACKEND, every_loader

from keras_loader_bench.bench.child.audit import WHOLE_EPOCH, audit_loader
from keras_loader_bench.bench.child.worker import Worker
from keras_loader_bench.bench.plan.case import Case
from keras_loader_bench.loaders import (
    LOADERS,
    ImageSource,
    LoaderOptions,
    make_loader,
    sample_order,
)
from keras_loader_bench.loaders.sources.cache import write_source

pytestmark = pytest.mark.each_backend

SHAPE, CLASSES, ROWS = (48, 64, 3), 7, 70


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    random = np.random.default_rng(7)
    images = random.integers(0, 256, (ROWS, *SHAPE), dtype=np.uint8)
    labels = random.integers(0, CLASSES, ROWS, dtype=np.uint8)
    return write_source(
        tmp_path_factory.mktemp("source") / "wide",
        name="wide",
        split="train",
        edition="synthetic",
        class_names=tuple("abcdefg"),
        sample_shape=SHAPE,
        num_samples=ROWS,
        chunks=[(images, labels)],
        inputs={},
    )


def test_a_source_says_what_its_samples_are(wide):
    source = ImageSource.open(wide.folder)
    assert (source.sample_shape, source.num_classes) == (SHAPE, CLASSES)
    images, labels = source.read(np.array([5, 3, 5]))
    assert (images == source.images[[5, 3, 5]]).all()
    assert (labels == source.labels[[5, 3, 5]]).all()
    assert type(images) is np.ndarray


@every_loader
def test_every_loader_delivers_them(loader_name, workers, wide):
    if LOADERS[loader_name].worker_processes and workers:
        pytest.skip("they read as without workers, and take seconds to start")
    rows = sample_order(ROWS, seed=0, epoch=0)
    options = LoaderOptions(batch_size=16, num_workers=workers)
    with make_loader(loader_name, wide, options) as loader:
        audit = audit_loader(loader, rows[:40], rows[40:], epoch_rows=rows)
    assert audit["identical"], audit["first_difference"]


@pytest.mark.parametrize(
    ("bench", "pixels"), [("feed", "float32"), ("feed", "uint8"), ("train", "uint8")]
)
def test_a_case_is_measured_on_them(bench, pixels, wide):
    case = Case(
        bench=bench, backend=BACKEND, loader="sequence", batch_size=16, pixels=pixels, samples=ROWS
    )
    worker = Worker(source=str(wide.folder), samples=ROWS, case=asdict(case), seed=0)
    for step in ("import_framework", "make_model", "make_ceiling", "make_loader"):
        getattr(worker, step)()
    size = worker.calibrate(seconds=0.05, accelerator_seconds=0.1)
    for loader in ("ceiling", "loader"):
        worker.prepare_round(loader=loader, epoch=1, **size)
        assert worker.round()["samples"] == size["samples"] * size["epochs"]
    audit = worker.audit(whole_epoch=True)
    assert audit["identical"], audit["first_difference"]
    assert audit["passes"][-1]["name"] == WHOLE_EPOCH
