"""The audit sees what is wrong with batches, and says what came first."""

from fractions import Fraction

import numpy as np
import pytest

from bench import audit
from loaders import LoaderOptions, sample_order
from loaders.contract import make_batch

OPTIONS = LoaderOptions(batch_size=64)


@pytest.fixture
def rows(source):
    return sample_order(source.num_samples, seed=0, epoch=0)


@pytest.fixture
def batches(source, rows):
    return [make_batch(source, rows[start : start + 64], "float32") for start in range(0, 230, 64)]


def verdict(source, rows, batches):
    records = [audit.record_batch(x, y) for x, y in batches]
    expected = audit.expected_batches(source, rows, OPTIONS)
    return audit.compare(expected, records, samples=len(rows))


def test_right_batches_are_identical(source, rows, batches):
    result = verdict(source, rows, batches)
    assert result.identical
    assert result.first_difference is None
    assert result.digest == result.expected_digest
    assert (result.batches, result.samples) == (4, 230)


def swap_batches(batches):
    return [batches[1], batches[0], *batches[2:]]


def swap_samples(batches):
    x, y = batches[2]
    order = [1, 0, *range(2, len(x))]
    return [*batches[:2], (x[order], y[order]), batches[3]]


def one_ulp(batches):
    x = batches[3][0].copy()
    x[-1, -1, -1, -1] = np.nextafter(x[-1, -1, -1, -1], np.float32(2))
    return [*batches[:3], (x, batches[3][1])]


def wrong_label(batches):
    y = batches[0][1].copy()
    y[0] = np.roll(y[0], 1)
    return [(batches[0][0], y), *batches[1:]]


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        (swap_batches, "batch 0: other values or another order of samples"),
        (swap_samples, "batch 2: other values or another order of samples"),
        (one_ulp, "batch 3: other values or another order of samples"),
        (wrong_label, "batch 0: other values or another order of samples"),
        (lambda b: b[:-1], "batch 3: the model was given 3 of 4 batches"),
        (lambda b: [*b, b[0]], "batch 4: the model was given 5 of 4 batches"),
        (
            lambda b: [(x.astype(np.float64), y) for x, y in b],
            "batch 0: x is float64 (64, 32, 32, 3), expected float32 (64, 32, 32, 3)",
        ),
        (
            lambda b: [(x, y.argmax(1)) for x, y in b],
            "batch 0: y is int64 (64,), expected float32 (64, 10)",
        ),
        (
            lambda b: [(x.transpose(0, 3, 1, 2), y) for x, y in b],
            "batch 0: x is float32 (64, 3, 32, 32), expected float32 (64, 32, 32, 3)",
        ),
    ],
)
def test_what_is_wrong_is_named(source, rows, batches, change, difference):
    result = verdict(source, rows, change(batches))
    assert not result.identical
    assert result.first_difference == difference
    assert result.digest != result.expected_digest


def test_the_reference_scales_exactly():
    """Against exact fractions: the nearest float32 of value / 255."""
    for value, scaled in enumerate(audit._SCALED):
        exact = Fraction(value, 255)
        neighbours = np.nextafter(scaled, np.float32(-1)), np.nextafter(scaled, np.float32(2))
        error = abs(Fraction(float(scaled)) - exact)
        assert all(error < abs(Fraction(float(other)) - exact) for other in neighbours)
