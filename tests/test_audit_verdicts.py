"""What may be asked of an input that is known only from reading it by hand, and in which words."""

import numpy as np
import pytest

from keras_loader_bench.loaders.audit.batches.judge import judge
from keras_loader_bench.loaders.audit.batches.reading import Reading, promise
from keras_loader_bench.loaders.audit.batches.records import Recorder
from keras_loader_bench.loaders.audit.inputs import target
from keras_loader_bench.loaders.audit.texts import explain
from keras_loader_bench.loaders.audit.texts import terminal as report


def reading(*numbers, dtype="float32", keep_bytes=2**20):
    made = Reading(keep_bytes=keep_bytes)
    for batch in batches(*numbers, dtype=dtype):
        made.add(batch)
    return made


def batches(*numbers, dtype="float32"):
    """Batches of two samples that are told by their number."""
    return [
        {"x": np.array([[n], [n + 0.1]], dtype), "y": np.array([n, n], "int32")} for n in numbers
    ]


def verdict(expected, got, **how):
    recorder = Recorder(expected.samples(), dtypes=expected.dtypes)
    for batch in got:
        recorder.record(batch)
    how.setdefault("promised", "ordered")
    return judge("fit", (expected, how.pop("other", expected)), recorder, **how)


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        ((0, 1, 2), "ordered"),
        ((2, 0, 1), "shuffled"),
        ((0, 1), "other_contents"),
        ((0, 1, 3), "other_contents"),
        ((), "other_contents"),
    ],
)
def test_what_two_readings_promise(other, expected):
    assert promise(reading(0, 1, 2).batches(), reading(*other).batches()) == expected


def test_readings_that_differ_by_less_than_a_batch_leave_out_samples():
    other = reading(0, 1)
    other.add({"x": np.array([[2], [9]], "float32"), "y": np.array([2, 2], "int32")})
    assert promise(reading(0, 1, 2).batches(), other.batches()) == "drops_last"


def test_the_order_of_shuffled_batches_is_not_judged_but_their_number_is():
    shuffled = verdict(reading(0, 1, 2), batches(2, 0, 1), shuffled_batches=True)
    assert shuffled.result.identical
    lost = verdict(reading(0, 1, 2), batches(2, 0, 0), shuffled_batches=True).result
    assert (lost.missing_batches, lost.repeated_batches) == ((1,), (0,))


def test_samples_of_an_input_that_shuffles_are_counted():
    lost = verdict(reading(0, 1, 2), batches(2, 0, 0), promised="shuffled").result
    assert lost.verdict == "missing_or_repeated"
    assert (lost.missing_batches, lost.missing_samples, lost.repeated_samples) == ((), 2, 2)


def test_a_lost_batch_is_seen_although_samples_are_left_out():
    expected, other = reading(0, 1, 2), reading(0, 1, 2)
    kept = verdict(expected, batches(2, 1, 0), promised="drops_last", other=other)
    assert kept.result.identical
    lost = verdict(expected, batches(2, 0, 0), promised="drops_last", other=other).result
    assert (lost.verdict, lost.missing_samples, lost.repeated_samples) == (
        "missing_or_repeated", 2, 2,
    )  # fmt: skip


def test_numbers_that_32_bits_hold_may_be_narrowed():
    expected = Reading()
    expected.add({"x": np.array([[0.5]]), "y": np.array([7])})
    narrow = [{"x": np.array([[0.5]], "float32"), "y": np.array([7], "int32")}]
    judged = verdict(expected, narrow)
    assert judged.result.identical
    assert judged.dtypes == {"x": ("float64", "float32"), "y": ("int64", "int32")}
    assert judged.converted == ()


def test_numbers_that_are_rounded_are_no_others():
    judged = verdict(reading(0, 1, dtype="float64"), batches(0, 1, dtype="float32"))
    assert judged.result.identical
    assert judged.converted == ("x",)


def test_integers_are_not_rounded():
    expected = Reading(keep_bytes=2**20)
    expected.add({"x": np.array([[0.5]]), "y": np.array([2**40 + 7])})
    wrapped = [{"x": np.array([[0.5]], "float32"), "y": np.array([7], "int32")}]
    result = verdict(expected, wrapped).result
    assert (result.verdict, result.max_ulps) == ("other_values", 2**40)


def test_values_in_a_wider_dtype_are_the_same_values():
    wider = [{**batch, "x": batch["x"].astype("float64")} for batch in batches(0, 1)]
    judged = verdict(reading(0, 1), wider)
    assert judged.result.identical
    assert judged.dtypes == {"x": ("float32", "float64")}


def test_equal_batches_are_interchangeable():
    judged = verdict(reading(0, 1, 0), batches(0, 0, 1), shuffled_batches=True)
    assert judged.result.identical
    lost = verdict(reading(0, 1, 0), batches(0, 1, 1), shuffled_batches=True).result
    assert (lost.missing_batches, lost.repeated_batches) == ((0,), (1,))


@pytest.mark.parametrize(
    ("got", "difference"),
    [
        ((1, 2), "shifted by 1 batch: the epoch began with batch 1 of the reference, expected 0"),
        ((3, 0), "1 of 2 batches belong to another epoch, the first of them is batch 3"),
    ],
)
def test_batches_of_another_epoch_are_told_from_other_values(got, difference):
    result = verdict(reading(0, 1, 2, 3), batches(*got), part=slice(0, 2)).result
    assert result.verdict == "shifted"
    assert result.difference.startswith(difference)
    assert verdict(reading(0, 1, 2, 3), batches(0, 9), part=slice(0, 2)).result.verdict == (
        "other_values"
    )


def test_a_shift_is_seen_where_the_reading_ends_before_the_epoch():
    result = verdict(reading(0, 1, 2, 3), batches(3, 4), part=slice(2, 4)).result
    assert result.verdict == "shifted"


def test_what_is_missing_is_seen_in_narrowed_batches_too():
    judged = verdict(reading(0, 1, 2, dtype="float64"), batches(0, 1, 1, dtype="float32"))
    assert judged.result.missing_batches == (2,)


def test_an_epoch_of_some_steps_is_judged_by_its_part_of_the_reading():
    expected = reading(0, 1, 2, 3)
    assert verdict(expected, batches(2, 3), part=slice(2, 4)).result.identical
    changed = [{**batch, "x": np.nextafter(batch["x"], np.float32(9))} for batch in batches(2, 3)]
    assert verdict(expected, changed, part=slice(2, 4)).result.max_ulps == 1


def test_values_are_kept_up_to_a_limit():
    size = sum(array.nbytes for array in batches(0)[0].values())
    kept = reading(0, 1, 2, keep_bytes=2 * size)
    assert kept.values(3)["x"] == np.float32(1.1)
    assert kept.values(4) is None


# Words.


@pytest.mark.parametrize(
    ("numbers", "text"),
    [
        ([89, 90, 91], "89-91"),
        ([5], "5"),
        ([3, 1, 2, 2, 7], "1-3, 7"),
        (range(0, 40, 2), "0, 2, 4, 6, 8, 10 and 14 more"),
    ],
)
def test_ranges_of_batches(numbers, text):
    assert explain.ranges(list(numbers)) == text


def test_what_an_input_says_of_itself_cannot_steer_the_terminal():
    assert report.clean("a\x1b[31m\tb\r\x07\nc\u2028é") == "a?[31m  b??\nc\\u2028\\xe9"


def test_the_kinds_of_input_are_told_by_their_classes():
    class PyDataset:
        __module__ = "keras.src.trainers"

    class Mine(PyDataset):
        pass

    assert target.kind_of(Mine()) == "PyDataset"
    assert target.kind_of(i for i in "a") == "generator"
    assert target.kind_of([1]) is None
