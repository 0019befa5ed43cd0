"""Judges a pass over an input that is known only from reading it directly.

How much may be asked of a pass depends on what the input promises. Pure functions.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

from keras_loader_bench.loaders.audit.reading import Promise, Reading, largest, samples_of
from keras_loader_bench.loaders.audit.records import Arrays, BatchRecord, Recorder
from keras_loader_bench.loaders.audit.verdict import PassResult, Verdict, compare


@dataclass(frozen=True, kw_only=True)
class Judged:
    """The verdict on one pass, and how it was found."""

    result: PassResult
    promise: Promise
    """What of the pass was judged. With `shuffled` not the order, and the numbers of batches are
    those of the direct reading only if `whole_batches`."""

    whole_batches: bool = True
    """Whether the batches of the direct reading reappear in the pass."""

    dtypes: dict[str, tuple[str, str]]
    """Name of an array -> the dtype that the input yields, another one that the model was given."""

    rounded: tuple[str, ...] = ()
    """Those of them of which a value changed."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON has them."""
        return {
            **self.result.to_dict(),
            "promise": self.promise,
            "whole_batches": self.whole_batches,
            "dtypes": {name: list(pair) for name, pair in self.dtypes.items()},
            "rounded": list(self.rounded),
        }


def judge(
    name: str,
    readings: tuple[Reading, Reading],
    got: Recorder,
    *,
    promised: Promise,
    shuffled_batches: bool = False,
    targets: bool = True,
    part: slice = slice(None),
) -> Judged:
    """Return the verdict on one pass.

    Args:
        name: of the pass.
        readings: direct readings of the input; the input promises what they share.
        got: what the model was given.
        promised: what the readings have in common in this part.
        shuffled_batches: whether Keras was asked to shuffle the batches.
        targets: whether the pass is given more than `x`.
        part: the batches of a reading that the pass should be given.
    """
    expected = readings[0].batches(targets=targets)[part]
    narrow, dtypes = _dtypes(readings[0], expected, got.batches, targets=targets)
    if narrow:
        expected = readings[0].batches(targets=targets, narrow=True)[part]
    start = readings[0].batches()[: part.start or 0]
    offset = sum(len(batch.samples) for batch in start)

    def values(position: int) -> Arrays | None:
        return readings[0].values(position + offset, targets=targets, narrow=narrow)

    judged, whole = promised, promised == "ordered"
    if promised == "ordered":
        result = compare(
            name,
            expected,
            _in_order(expected, got.batches) if shuffled_batches else got.batches,
            strangers=got.strangers,
            values=values,
        )
        if shuffled_batches:
            judged = "shuffled"
            result = _without_order(result)
            if result.verdict == "other_values":  # says in which batch of the pass
                result = compare(
                    name, expected, got.batches, strangers=got.strangers, values=values
                )
    elif promised == "shuffled":
        result = _by_samples(compare(name, expected, got.batches), expected, got.batches)
    else:
        other = readings[1].batches(targets=targets, narrow=narrow)[part]
        result = _loosely(name, expected, other, got.batches, promised)

    rounded = tuple(n for n in dtypes if n in readings[0].rounded)
    if rounded and result.identical:
        names = ", ".join(f"{n} is {dtypes[n][1]}, expected {dtypes[n][0]}" for n in rounded)
        result = replace(result, verdict="other_dtype_or_shape", difference=names)
    return Judged(
        result=result, promise=judged, whole_batches=whole, dtypes=dtypes, rounded=rounded
    )


def _dtypes(
    reading: Reading,
    expected: list[BatchRecord],
    got: list[BatchRecord],
    *,
    targets: bool,
) -> tuple[bool, dict[str, tuple[str, str]]]:
    """Return whether the model was given 32 bits for 64, and which dtypes differ."""
    if not expected or not got:
        return False, {}
    yields, given = _dtype(expected[0]), _dtype(got[0])
    if yields == given or given != _dtype(reading.batches(targets=targets, narrow=True)[0]):
        return False, {}
    return True, {
        name: (yields[name], given[name]) for name in yields if yields[name] != given[name]
    }


def _dtype(batch: BatchRecord) -> dict[str, str]:
    return {name: spec.partition(" ")[0] for name, spec in batch.sample_specs.items()}


def _in_order(expected: list[BatchRecord], got: list[BatchRecord]) -> list[BatchRecord]:
    """Return the batches in the order of the expected ones, those that are not expected last."""
    places: dict[str, int] = {}
    for number, batch in enumerate(expected):
        places.setdefault(batch.digest, number)
    return sorted(got, key=lambda batch: places.get(batch.digest, len(expected)))


def _without_order(result: PassResult) -> PassResult:
    """Leave out what is said of an order that is not the one in which the batches came."""
    if result.verdict == "other_order":  # samples in other batches
        return replace(result, verdict="other_dtype_or_shape")
    return replace(result, difference=None) if result.verdict == "missing_or_repeated" else result


def _by_samples(
    result: PassResult, expected: list[BatchRecord], got: list[BatchRecord]
) -> PassResult:
    """Judge a pass in which samples may come in any order, in any batch."""
    if samples_of(expected) != samples_of(got):
        return replace(result, missing_batches=(), repeated_batches=(), difference=None)
    sizes, given = (Counter(len(b.samples) for b in batches) for batches in (expected, got))
    if sizes != given:
        difference = f"{len(got)} batches of up to {largest(got)} samples, expected "
        difference += f"{len(expected)} of up to {largest(expected)}"
        return replace(result, verdict="other_dtype_or_shape", difference=difference)
    return replace(result, verdict="identical", difference=None)


def _loosely(
    name: str,
    expected: list[BatchRecord],
    other: list[BatchRecord],
    got: list[BatchRecord],
    promised: Promise,
) -> PassResult:
    """Judge what can be judged where no two readings have the same samples."""
    one, two, have = samples_of(expected), samples_of(other), samples_of(got)
    verdict: Verdict = "identical"
    missing = max(0, one.total() - have.total())
    repeated = max(0, have.total() - one.total())
    difference = None
    if promised == "drops_last":
        size = largest(expected)
        known = one | two
        absent = (known - have).total()
        again = have - known
        strange = sum(count for digest, count in again.items() if digest not in known)
        repeated = max(repeated, again.total() - strange)
        if absent >= size:
            missing = max(missing, absent)
        if strange >= size:
            verdict = "other_values"
            difference = f"{strange:,} samples came in neither direct reading"
    if verdict == "identical" and (missing or repeated):
        verdict = "missing_or_repeated"
    return PassResult(
        name=name,
        verdict=verdict,
        batches=len(got),
        expected_batches=len(expected),
        samples=have.total(),
        expected_samples=one.total(),
        missing_samples=missing,
        repeated_samples=repeated,
        difference=difference,
    )
