"""The `numpy` loader follows an order without taking more memory than arrays in any order do.

The memory of a case is that of its own processes, whatever runs beside it.
"""

import keras
import pytest
import suite

from keras_loader_bench.bench.record.footprint import footprint_bytes

SAMPLES = 50_000
"""Batches under way take up to 32 MiB more or less, with arrays of any size: 6 percent of these."""

ARRAYS_BYTES = SAMPLES * (32 * 32 * 3 + 10) * 4


@pytest.mark.each_backend
@pytest.mark.long
def test_it_takes_what_a_plain_fit_of_x_and_y_takes(tmp_path):
    run = suite.run(
        *("--keras-backends", keras.backend.backend(), "-k", "memory"),
        *("--loaders", "numpy,plain", "--samples", str(SAMPLES)),
        results=tmp_path / "run",
        PYTHONPATH=str(suite.TESTS / "faulty"),
    )
    numpy, plain = (footprint_bytes(run.case(name).memory) for name in ("numpy", "plain"))
    assert plain > ARRAYS_BYTES, "the arrays alone"
    assert abs(numpy - plain) < 0.1 * plain
