"""The audit sees what is wrong with batches, gives it its name, and spells out what came first."""

from fractions import Fraction

import numpy as np
import pytest

from keras_loader_bench.bench.child import audit
from keras_loader_bench.loaders import LoaderOptions, sample_order
from keras_loader_bench.loaders.audit import Recorder, compare, record_batch
from keras_loader_bench.loaders.audit.batches.verdict import ulps

OPTIONS = LoaderOptions(batch_size=64)


@pytest.fixture
def rows(source):
    return sample_order(source.num_samples, seed=0, epoch=0)


@pytest.fixture
def batches(source, rows):
    """Three batches of 64 samples and one of 38, made without the reference's code."""
    made = []
    for start in range(0, 230, 64):
        some = rows[start : start + 64]
        x = (source.images[some] / np.float32(255)).astype(np.float32)
        made.append({"x": x, "y": np.eye(10, dtype=np.float32)[source.labels[some]]})
    return made


def verdict(source, rows, batches):
    reference = audit.Reference(source, rows, OPTIONS)
    recorder = Recorder(reference.samples, whole=True)
    for batch in batches:
        recorder.record(batch)
    return reference.compare("fit", recorder)


def test_right_batches_are_identical(source, rows, batches):
    result = verdict(source, rows, batches)
    assert result.identical
    assert result.difference is None
    assert (result.batches, result.samples) == (result.expected_batches, result.expected_samples)
    assert (result.batches, result.samples) == (4, 230)


def with_batch(number, **arrays):
    """Replace arrays of one batch, by functions of the old ones."""

    def change(batches):
        new = {name: function(batches[number][name]) for name, function in arrays.items()}
        return [{**batch, **new} if i == number else batch for i, batch in enumerate(batches)]

    return change


def in_all(**arrays):
    """Replace arrays of every batch, by functions of the old ones."""
    return lambda batches: [
        {**batch, **{name: function(batch[name]) for name, function in arrays.items()}}
        for batch in batches
    ]


def next_up(x):
    """One value, one unit in the last place higher."""
    x = x.copy()
    x[-1, -1, -1, -1] = np.nextafter(x[-1, -1, -1, -1], np.float32(2))
    return x


def swap_samples(array):
    return array[[1, 0, *range(2, len(array))]]


def cut_in_half(batches):
    return [
        {name: array[part] for name, array in batch.items()}
        for batch in batches
        for part in (slice(32), slice(32, None))
    ]


def regrouped(batches):
    """The last sample of a batch becomes the first of the next."""
    x, y = (np.concatenate([b[name] for b in batches]) for name in ("x", "y"))
    cuts = [63, 127, 191]
    return [{"x": a, "y": b} for a, b in zip(np.split(x, cuts), np.split(y, cuts), strict=True)]


@pytest.mark.parametrize(
    ("change", "kind", "difference"),
    [
        (
            lambda b: [b[1], b[0], *b[2:]],
            "other_order",
            "batch 0: is batch 1 of the reference",
        ),
        (
            with_batch(2, x=swap_samples, y=swap_samples),
            "other_order",
            "batch 2: sample 0 is sample 129 of the reference",
        ),
        (
            with_batch(3, x=next_up),
            "other_values",
            "batch 3: sample 37 has other values; the largest difference is 1 ULP",
        ),
        (
            with_batch(0, y=lambda y: np.roll(y, 1, axis=1)),
            "other_values",
            "batch 0: sample 0 has other values, as have 63 more; "
            "the largest difference is 1,065,353,216 ULPs",
        ),
        (
            with_batch(1, y=swap_samples),  # images under each other's labels
            "other_values",
            None,
        ),
        (lambda b: b[:-1], "missing_or_repeated", "batch 3: never came"),
        (
            lambda b: [*b, b[0]],
            "missing_or_repeated",
            "batch 4: came after the 4 that were expected",
        ),
        (
            lambda b: [b[0], b[0], *b[2:]],
            "missing_or_repeated",
            "batch 1: is batch 0 of the reference",
        ),
        (
            with_batch(0, x=lambda x: x[:-1], y=lambda y: y[:-1]),
            "missing_or_repeated",
            "batch 0: has 63 of 64 samples",
        ),
        (
            in_all(x=lambda x: x.astype(np.float64)),
            "other_dtype_or_shape",
            "batch 0: x is float64 (64, 32, 32, 3), expected float32 (64, 32, 32, 3)",
        ),
        (
            in_all(y=lambda y: y.argmax(1)),
            "other_dtype_or_shape",
            "batch 0: y is int64 (64,), expected float32 (64, 10)",
        ),
        (
            in_all(x=lambda x: x.transpose(0, 3, 1, 2)),
            "other_dtype_or_shape",
            "batch 0: x is float32 (64, 3, 32, 32), expected float32 (64, 32, 32, 3)",
        ),
        (
            lambda b: [{"x": batch["x"]} for batch in b],
            "other_dtype_or_shape",
            "batch 0: has x, expected x, y",
        ),
        (
            cut_in_half,
            "other_dtype_or_shape",
            "batch 0: x is float32 (32, 32, 32, 3), expected float32 (64, 32, 32, 3)",
        ),
        (
            regrouped,
            "other_dtype_or_shape",
            "batch 0: x is float32 (63, 32, 32, 3), expected float32 (64, 32, 32, 3)",
        ),
    ],
)
def test_what_is_wrong_is_named(source, rows, batches, change, kind, difference):
    result = verdict(source, rows, change(batches))
    assert not result.identical
    assert result.verdict == kind
    assert result.difference
    assert difference in (None, result.difference)


def test_missing_and_repeated_batches_are_counted_and_listed(source, rows, batches):
    result = verdict(source, rows, [batches[1], batches[0], batches[1], batches[1]])
    assert result.verdict == "missing_or_repeated"
    assert result.missing_batches == (2, 3)
    assert result.repeated_batches == (1, 1)
    assert (result.missing_samples, result.repeated_samples) == (64 + 38, 2 * 64)


def test_a_missing_sample_is_counted_where_no_batch_is_whole(source, rows, batches):
    lost = with_batch(1, x=lambda x: x[1:], y=lambda y: y[1:])(batches)
    result = verdict(source, rows, lost)
    assert (result.missing_samples, result.repeated_samples) == (1, 0)
    assert result.missing_batches == (1,)


def test_other_values_are_measured_wherever_the_sample_came(source, rows, batches):
    """A cast in the loader and a bug in its order at once."""
    perturbed = with_batch(0, x=next_up)(batches)
    result = verdict(source, rows, [perturbed[1], perturbed[0], *perturbed[2:]])
    assert (result.verdict, result.max_ulps) == ("other_values", 1)


def test_a_loader_that_multiplies_by_the_reciprocal_is_one_ulp_off(source, rows, batches):
    """The mistake that the contract of a batch warns of."""
    reciprocal = np.float32(1) / np.float32(255)
    for number, batch in enumerate(batches):
        some = rows[number * 64 : number * 64 + 64]
        batch["x"] = source.images[some].astype(np.float32) * reciprocal
    result = verdict(source, rows, batches)
    assert (result.verdict, result.max_ulps) == ("other_values", 1)


def test_weights_in_place_of_labels_are_no_labels():
    """`(x, y)` and `(x, None, weights)` may hold the same bytes."""
    x, y = np.zeros((4, 2), "float32"), np.ones(4, "float32")
    labelled, weighted = record_batch({"x": x, "y": y}), record_batch({"x": x, "weight": y})
    assert labelled.digest != weighted.digest
    assert not set(labelled.samples) & set(weighted.samples)
    assert not compare("fit", [labelled], [weighted]).identical


def test_samples_that_are_alike_are_told_by_how_often_they_come():
    """Black images under one label: nothing but their number tells what is missing."""
    black = {"x": np.zeros((4, 8), np.float32), "y": np.zeros((4, 1), np.float32)}
    expected = [record_batch(black)] * 3
    result = compare("fit", expected, expected[:2])
    assert (result.verdict, result.missing_samples) == ("missing_or_repeated", 4)
    assert compare("fit", expected, expected).identical


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_ulps_count_representable_numbers(dtype):
    one = np.array([1.0, -1.0, 0.0, 3.0], dtype)
    for steps in (0, 1, 5):
        other = one
        for _ in range(steps):
            other = np.nextafter(other, dtype(-10), dtype=dtype)
        assert ulps(one, other) == ulps(other, one) == steps


def test_ulps_of_bytes_are_their_difference():
    assert ulps(np.array([0, 200], np.uint8), np.array([3, 100], np.uint8)) == 100


def test_zero_has_two_signs_and_no_distance():
    assert ulps(np.array([0.0], np.float32), np.array([-0.0], np.float32)) == 0


def test_the_reference_scales_exactly():
    """Against exact fractions: the nearest float32 of value / 255."""
    for value, scaled in enumerate(audit._SCALED):
        exact = Fraction(value, 255)
        neighbours = np.nextafter(scaled, np.float32(-1)), np.nextafter(scaled, np.float32(2))
        error = abs(Fraction(float(scaled)) - exact)
        assert all(error < abs(Fraction(float(other)) - exact) for other in neighbours)
