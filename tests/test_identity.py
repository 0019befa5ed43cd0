"""Every loader gives `fit` the same batches: those that NumPy computes from the source."""

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from bench import models
from loaders import LOADERS, ImageSource, LoaderOptions, make_loader, sample_order

every_loader = pytest.mark.parametrize("loader_name", sorted(LOADERS))


def fitted_batches(loader_name, source, options, *orders):
    """The batches of one `fit` of a fresh model for each order, by one loader."""
    with make_loader(loader_name, source, options) as loader:
        for rows in orders:
            batches: list[tuple] = []
            record = partial(append_batch, batches)
            assert models.fit(models.audit(record), loader, rows) == len(rows)
            yield batches


def append_batch(batches, x, y):
    batches.append((x, y))


def reference(source: ImageSource, rows, batch_size: int, pixels: str):
    for start in range(0, len(rows), batch_size):
        some = rows[start : start + batch_size]
        x = np.array(source.images[some])
        if pixels == "float32":
            x = x.astype(np.float32) / np.float32(255)
        y = np.zeros((len(some), 10), np.float32)
        y[np.arange(len(some)), source.labels[some]] = 1
        yield x, y


def assert_same(batches, expected):
    expected = list(expected)
    assert len(batches) == len(expected)
    for batch, wanted in zip(batches, expected, strict=True):
        for have, want in zip(batch, wanted, strict=True):
            assert have.dtype == want.dtype
            assert have.shape == want.shape
            assert have.tobytes() == want.tobytes()


@every_loader
@pytest.mark.parametrize("pixels", ["float32", "uint8"])
@pytest.mark.parametrize("batch_size", [1, 64, 100, 1000])
@pytest.mark.parametrize("shuffle", [False, True])
def test_fit_trains_on_the_reference(loader_name, pixels, batch_size, shuffle, source):
    rows = sample_order(source.num_samples, seed=5, epoch=2, shuffle=shuffle)
    options = LoaderOptions(batch_size=batch_size, pixels=pixels)
    (batches,) = fitted_batches(loader_name, source, options, rows)
    assert_same(batches, reference(source, rows, batch_size, pixels))


@every_loader
def test_every_pixel_value_is_scaled_exactly(loader_name, source):
    """Division and multiplication by the reciprocal differ in 126 of 256 values."""
    rows = np.arange(source.num_samples)
    (batches,) = fitted_batches(loader_name, source, LoaderOptions(batch_size=230), rows)
    assert set(np.unique(source.images)) == set(range(256)), "the source must have every value"
    x = batches[0][0]
    for value in range(256):
        exact = np.float32(np.float64(value) / 255)
        assert (x[source.images == value] == exact).all()


@every_loader
def test_a_loader_keeps_to_the_rows_of_each_call(loader_name, source):
    orders = [
        sample_order(source.num_samples, seed=0, epoch=0),
        sample_order(source.num_samples, seed=0, epoch=1)[:70],  # a prefix: a short round
        np.array([7, 7, 3]),  # a row may come twice where the caller wants it
    ]
    fits = fitted_batches(loader_name, source, LoaderOptions(batch_size=64), *orders)
    for rows, batches in zip(orders, fits, strict=True):
        assert_same(batches, reference(source, rows, 64, "float32"))


@every_loader
def test_every_sample_comes_once_an_epoch(loader_name, source):
    options = LoaderOptions(batch_size=64, pixels="uint8")
    row_of = {image.tobytes(): row for row, image in enumerate(source.images)}
    assert len(row_of) == source.num_samples, "the images must tell the rows apart"
    orders = [sample_order(source.num_samples, seed=0, epoch=epoch) for epoch in range(2)]
    delivered = [
        [row_of[image.tobytes()] for x, _ in batches for image in x]
        for batches in fitted_batches(loader_name, source, options, *orders)
    ]
    assert [sorted(rows) for rows in delivered] == [list(range(230))] * 2
    assert delivered[0] != delivered[1]


DIGESTS = """
import json, sys
from bench.audit import record_batch
from bench.models import audit, fit
from loaders import LOADERS, ImageSource, LoaderOptions, make_loader, sample_order
source = ImageSource.open(sys.argv[1])
digests = {}
for name in sorted(LOADERS):
    loader, found = make_loader(name, source, LoaderOptions()), []
    fit(audit(lambda x, y: found.append(record_batch(x, y).digest)), loader,
        sample_order(source.num_samples, seed=1, epoch=1))
    digests[name] = found
print(json.dumps(digests))
"""


def test_two_fresh_processes_give_the_same_bytes(source, tmp_path: Path):
    digests = []
    for hash_seed in "12":
        done = subprocess.run(
            [sys.executable, "-c", DIGESTS, str(source.folder)],
            check=True,
            capture_output=True,
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
        )
        digests.append(json.loads(done.stdout.splitlines()[-1]))
    assert digests[0] == digests[1]
    assert len({tuple(found) for found in digests[0].values()}) == 1
    assert set(digests[0]) == set(LOADERS)


@every_loader
def test_real_photographs_are_identical_too(loader_name, real_source):
    rows = sample_order(real_source.num_samples, seed=0, epoch=0)[:1000]
    (batches,) = fitted_batches(loader_name, real_source, LoaderOptions(batch_size=64), rows)
    assert_same(batches, reference(real_source, rows, 64, "float32"))
