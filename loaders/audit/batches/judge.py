"""Judges a pass over an input that is known only from reading it directly.

How much may be asked of a pass depends on what the input promises. Pure functions.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, replace
from typing import Any, Literal

from keras_loader_bench.loaders.audit.batches.reading import (
    Promise,
    Reading,
    largest,
    promise,
    samples_of,
)
from keras_loader_bench.loaders.audit.batches.records import BatchRecord, Recorder, View
from keras_loader_bench.loaders.audit.batches.verdict import (
    PassResult,
    Verdict,
    compare,
    other_form,
)

By = Literal["contents", "labels", "number"]


@dataclass(frozen=True, kw_only=True)
class Judged:
    """The verdict on one pass, and how it was found."""

    result: PassResult
    promise: Promise
    """What of the pass was judged. With `shuffled` not the order, and the numbers of batches are
    those of the direct reading only if `whole_batches`."""

    by: By = "contents"
    """By what samples were recognised; the contents cannot be judged if these are random."""

    whole_batches: bool = True
    """Whether the batches of the direct reading reappear in the pass."""

    dtypes: dict[str, tuple[str, str]]
    """Name of a field -> the dtype that the input yields, another one that the model was given."""

    converted: tuple[str, ...] = ()
    """Those of them that the direct reading had to be converted for, see `Reading.batches`."""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON has them."""
        return {
            **self.result.to_dict(),
            "promise": self.promise,
            "by": self.by,
            "whole_batches": self.whole_batches,
            "dtypes": {name: list(pair) for name, pair in self.dtypes.items()},
            "converted": list(self.converted),
        }


def judge(
    name: str,
    readings: tuple[Reading, Reading],
    got: Recorder,
    *,
    promised: Promise,
    shuffled_batches: bool = False,
    view: View = "all",
    part: slice = slice(None),
) -> Judged:
    """Return the verdict on one pass.

    Args:
        name: of the pass.
        readings: direct readings of the input; the input promises what they share.
        got: what the model was given.
        promised: what the readings have in common in this part.
        shuffled_batches: whether Keras was asked to shuffle the batches.
        view: by what samples are recognised: `predict` is given `inputs` alone.
        part: the batches of a reading that the pass should be given.
    """
    dtypes = {n: (str(readings[0].dtypes[n]), given) for n, given in got.given.items()}
    converted = tuple(n for n in dtypes if n in readings[0].converted)
    said: dict[str, Any] = {"dtypes": dtypes, "converted": converted, "promise": promised}
    by: By = "contents"
    if promised == "other_contents":
        labels = _of_labels(readings, part) if view == "all" else None
        by = "labels" if labels else "number"
        promised, view = labels or promised, "labels" if labels else view
    one, other = (reading.batches(view, converted=bool(converted)) for reading in readings)
    expected, given = one[part], [batch.seen(view) for batch in got.batches]
    offset = sum(len(batch.samples) for batch in one[: part.start or 0])

    def compared(batches: list[BatchRecord]) -> PassResult:
        return compare(
            name,
            expected,
            batches,
            strangers=got.strangers,
            values=lambda position: readings[0].values(position + offset),
        )

    if promised == "ordered":
        result = _shifted(compared(given), one, part, given)
        if shuffled_batches:
            said["promise"] = "shuffled" if by == "contents" else said["promise"]
            whole = _without_order(compared(_in_order(expected, given)))
            # Of other values, the batch of the pass is named.
            result = result if whole.verdict == "other_values" else whole
    elif promised == "shuffled":
        result = _by_samples(compare(name, expected, given), expected, given)
    else:
        result = _loosely(name, expected, other[part], given, promised)
    return Judged(result=result, by=by, whole_batches=promised == "ordered", **said)


def _of_labels(readings: tuple[Reading, Reading], part: slice) -> Promise | None:
    """Return what labels promise where contents promise nothing; `None`: they tell nothing."""
    one, other = (reading.batches("labels")[part] for reading in readings)
    promised = promise(one, other)
    tells = len(samples_of(one)) > 1 and promised in ("ordered", "shuffled")
    return promised if tells else None


def _shifted(
    result: PassResult, reading: list[BatchRecord], part: slice, got: list[BatchRecord]
) -> PassResult:
    """Recognise batches of the direct reading that belong to another epoch.

    With steps, an epoch is a part of the reading, and the next goes on where it ended.
    """
    if part == slice(None) or result.identical or not got:
        return result
    places: dict[str, int] = {}
    for number, batch in enumerate(reading):
        places.setdefault(batch.digest, number)
    numbers = [places.get(batch.digest) for batch in got]
    start, stop, _ = part.indices(len(reading))
    shift = (numbers[0] or start) - start
    # The reading may end before a shifted epoch does.
    shifted = [n if n < len(reading) else None for n in range(start + shift, stop + shift)]
    expected = set(range(start, stop))
    came = {number for number in numbers if number is not None}
    if shift and numbers == shifted:
        how = f"shifted by {abs(shift)} batch{'es' if abs(shift) > 1 else ''}: the epoch began"
        how += f" with batch {start + shift} of the reference, expected {start}"
    elif None not in numbers and (foreign := [n for n in numbers if n not in expected]):
        how = f"{len(foreign)} of {len(got)} batches belong to another epoch, the first of them is "
        how += f"batch {foreign[0]} of the reference"
    else:
        return result
    return replace(
        result,
        verdict="shifted",
        difference=how,
        max_ulps=None,
        missing_batches=tuple(sorted(expected - came)),
        repeated_batches=(),
        missing_samples=0,
        repeated_samples=0,
    )


def _in_order(expected: list[BatchRecord], got: list[BatchRecord]) -> list[BatchRecord]:
    """Return the batches in the order of the expected ones, those that are not expected last.

    Equal batches are interchangeable: each takes the next place of its kind.
    """
    places: defaultdict[str, list[int]] = defaultdict(list)
    for number, batch in reversed(list(enumerate(expected))):
        places[batch.digest].append(number)
    taken = [places[b.digest].pop() if places[b.digest] else len(expected) for b in got]
    return [got[i] for i in sorted(range(len(got)), key=taken.__getitem__)]


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
    forms = [{tuple(sorted(b.sample_specs.items())) for b in each} for each in (expected, other)]
    if forms[0] == forms[1] and (form := other_form(expected, got)):
        verdict, difference = "other_dtype_or_shape", form
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
