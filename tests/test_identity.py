"""Every loader gives `fit` the same batches: those that NumPy computes from the source."""

import contextlib
import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from registered import BACKEND, CIFAR10, VARIANTS, every_loader

from keras_loader_bench.bench.child.audit import Reference, total_digest
from keras_loader_bench.bench.child.models import fit, null
from keras_loader_bench.loaders import ImageSource, LoaderOptions, make_loader, sample_order
from keras_loader_bench.loaders.audit.batches.recording import (
    record_evaluate,
    record_fit,
    record_predict,
)

pytestmark = [pytest.mark.each_backend, pytest.mark.usefixtures("warm_workers")]


def fitted_batches(loader, *orders, epochs=1, steps_per_execution=1):
    """The batches of one `fit` of a fresh model for each order, by one loader."""
    for rows in orders:
        batches: list[list] = [[] for _ in range(epochs)]
        records = [epoch.append for epoch in batches]
        record_fit(loader.fit_args(rows), records, steps_per_execution=steps_per_execution)
        yield [batch for epoch in batches for batch in epoch]


def reference(source: ImageSource, rows, batch_size: int, pixels: str = "float32"):
    for start in range(0, len(rows), batch_size):
        some = rows[start : start + batch_size]
        x = np.array(source.images[some])
        if pixels == "float32":
            x = x.astype(np.float32) / np.float32(255)
        y = np.zeros((len(some), 10), np.float32)
        y[np.arange(len(some)), source.labels[some]] = 1
        yield {"x": x, "y": y}


def assert_same(batches, expected):
    expected = list(expected)
    assert len(batches) == len(expected)
    for batch, wanted in zip(batches, expected, strict=True):
        assert batch.keys() == wanted.keys()
        for have, want in zip(batch.values(), wanted.values(), strict=True):
            assert have.dtype == want.dtype
            assert have.shape == want.shape
            assert have.tobytes() == want.tobytes()


@pytest.fixture(scope="module")
def sixteen(source):
    """Loaders of batches of 16, each made once: worker processes take seconds to start.

    So a loader must also serve the next test, whatever the one before did.
    """
    with contextlib.ExitStack() as stack:

        @cache
        def make(loader_name, workers):
            options = LoaderOptions(batch_size=16, num_workers=workers)
            return stack.enter_context(make_loader(loader_name, source, options))

        yield make


def orders_of(source):
    """The stored order, and a shuffled one."""
    return [
        sample_order(source.num_samples, seed=5, epoch=2, shuffle=shuffle)
        for shuffle in (False, True)
    ]


def assert_fits_are_the_reference(loader, *orders):
    size, pixels = loader.options.batch_size, loader.options.pixels
    for rows, batches in zip(orders, fitted_batches(loader, *orders), strict=True):
        assert_same(batches, reference(loader.source, rows, size, pixels))


@every_loader
def test_fit_trains_on_the_reference(loader_name, workers, source, sixteen):
    """Whatever the batch size divides, in stored and in shuffled order."""
    stored, shuffled = orders_of(source)
    if workers:
        assert_fits_are_the_reference(sixteen(loader_name, workers), stored, shuffled)
        return
    # All sizes and orders in the fewest steps: a step of size 7 takes as long as one of 1000.
    for batch_size, orders in {7: [shuffled], 64: [stored, shuffled], 1000: [stored]}.items():
        with make_loader(loader_name, source, LoaderOptions(batch_size=batch_size)) as loader:
            assert_fits_are_the_reference(loader, *orders)


@every_loader
def test_fit_trains_on_stored_pixels_too(loader_name, workers, source):
    options = LoaderOptions(batch_size=32, pixels="uint8", num_workers=workers)
    with make_loader(loader_name, source, options) as loader:
        assert_fits_are_the_reference(loader, *orders_of(source))


@every_loader
def test_every_pixel_value_is_scaled_exactly(loader_name, workers, source):
    """Division and multiplication by the reciprocal differ in 126 of 256 values."""
    rows = np.arange(source.num_samples)
    options = LoaderOptions(batch_size=230, num_workers=workers)
    with make_loader(loader_name, source, options) as loader:
        (batches,) = fitted_batches(loader, rows)
    assert set(np.unique(source.images)) == set(range(256)), "the source must have every value"
    x = batches[0]["x"]
    for value in range(256):
        exact = np.float32(np.float64(value) / 255)
        assert (x[source.images == value] == exact).all()


@every_loader
def test_a_loader_keeps_to_the_rows_of_each_call(loader_name, workers, source, sixteen):
    orders = [
        sample_order(source.num_samples, seed=0, epoch=0),
        sample_order(source.num_samples, seed=0, epoch=1)[:70],  # a prefix: a short round
        np.array([7, 7, 3]),  # a row may come twice where the caller wants it
    ]
    assert_fits_are_the_reference(sixteen(loader_name, workers), *orders)


@every_loader
def test_every_epoch_of_a_fit_delivers_the_same(loader_name, workers, source, sixteen):
    rows = sample_order(source.num_samples, seed=0, epoch=0)
    (batches,) = fitted_batches(sixteen(loader_name, workers), rows, epochs=3)
    assert_same(batches, [*reference(source, rows, 16)] * 3)


@pytest.mark.skipif(BACKEND == "torch", reason="Keras runs one step an execution on torch")
@every_loader
def test_an_epoch_that_executions_do_not_divide_ends_where_the_rows_end(
    loader_name, workers, source, sixteen, request
):
    """Of a dataset that does not end, Keras takes the batches of whole executions."""
    endless = pytest.mark.xfail(
        loader_name == "grain", strict=True, reason="its dataset repeats the rows for ever"
    )
    request.applymarker(endless)
    rows = sample_order(source.num_samples, seed=0, epoch=0)
    loader = sixteen(loader_name, workers)
    (batches,) = fitted_batches(loader, rows, epochs=2, steps_per_execution=4)
    assert_same(batches, [*reference(source, rows, 16)] * 2)


@every_loader
def test_evaluate_and_predict_work_on_the_reference_too(loader_name, workers, source, sixteen):
    rows = sample_order(source.num_samples, seed=0, epoch=0)
    expected = list(reference(source, rows, 16))
    loader = sixteen(loader_name, workers)
    batches: list = []
    record_evaluate(loader.fit_args(rows), batches.append)
    assert_same(batches, expected)
    batches.clear()
    in_order = record_predict(loader.fit_args(rows), batches.append)
    assert_same(batches, [{"x": batch["x"]} for batch in expected])
    assert in_order


@every_loader
def test_an_abandoned_fit_leaves_nothing_behind_for_the_next(loader_name, workers, source, sixteen):
    """What was read ahead in one `fit` must not come in the next."""
    rows = sample_order(source.num_samples, seed=0, epoch=0)
    others = sample_order(source.num_samples, seed=0, epoch=1)
    loader = sixteen(loader_name, workers)

    class AbandonedError(Exception):
        pass

    def abandon(batch):
        raise AbandonedError

    with pytest.raises(AbandonedError):
        record_fit(loader.fit_args(rows), [abandon])
    (batches,) = fitted_batches(loader, others)
    assert_same(batches, reference(source, others, 16))


@pytest.fixture(scope="module")
def null_model():
    """One for all loaders: what takes long is to trace it."""
    return null(CIFAR10["float32"])


@every_loader
def test_the_model_counts_every_sample(loader_name, workers, sixteen, null_model):
    """A witness inside the graph: the timed rounds' own model."""
    for count in (230, 64, 1):
        assert fit(null_model, sixteen(loader_name, workers), np.arange(count)) == count


DIGESTS = """
import contextlib, json, sys
if __name__ == "__main__":  # a worker process of a loader imports the rest of this file
    with contextlib.suppress(ModuleNotFoundError):
        import torch
    from keras_loader_bench.bench.child.audit import total_digest
    from keras_loader_bench.loaders import ImageSource, LoaderOptions, make_loader, sample_order
    from keras_loader_bench.loaders.audit import Recorder
    from keras_loader_bench.loaders.audit.batches.recording import record_fit

    source = ImageSource.open(sys.argv[1])
    rows = sample_order(source.num_samples, seed=1, epoch=1)
    digests = []
    for name, workers in json.loads(sys.argv[2]):
        with make_loader(name, source, LoaderOptions(num_workers=workers)) as loader:
            recorder = Recorder(whole=True)
            record_fit(loader.fit_args(rows), [recorder.record])
            digests.append(total_digest(recorder.batches))
    print(json.dumps(digests))
"""


@pytest.mark.long
def test_another_process_is_given_the_same_bytes(source, tmp_path: Path):
    script = tmp_path / "digests.py"
    script.write_text(DIGESTS)
    variants = [list(variant.values) for variant in VARIANTS if not variant.marks]
    done = subprocess.run(
        [sys.executable, str(script), str(source.folder), json.dumps(variants)],
        check=True,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONHASHSEED": "1"},
    )
    rows = sample_order(source.num_samples, seed=1, epoch=1)
    here = total_digest(Reference(source, rows, LoaderOptions()).batches)
    assert json.loads(done.stdout.splitlines()[-1]) == [here] * len(variants)


@every_loader
def test_real_photographs_are_identical_too(loader_name, workers, real_source):
    photographs = real_source.head(1000)  # some loaders hold all of a source in memory
    rows = sample_order(photographs.num_samples, seed=0, epoch=0)
    with make_loader(loader_name, photographs, LoaderOptions(num_workers=workers)) as loader:
        (batches,) = fitted_batches(loader, rows)
    assert_same(batches, reference(photographs, rows, 64))
