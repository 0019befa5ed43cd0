"""Compares the batches that a pass got with those it should have got.

Pure functions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain, zip_longest
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from keras_loader_bench.loaders.audit.batches.fields import numbers, with_dtype
from keras_loader_bench.loaders.audit.batches.records import Arrays, BatchRecord

Verdict = Literal[
    "identical",
    "other_order",
    "shifted",
    "missing_or_repeated",
    "other_values",
    "other_dtype_or_shape",
    "other_fingerprint",
]

MAX_CANDIDATES = 256
"""Missing samples that a sample of other values is compared with, to find the one that it was."""


@dataclass(frozen=True, kw_only=True)
class PassResult:
    """The verdict on one pass over the data: an epoch of `fit`, `evaluate` or `predict`."""

    name: str
    compared: Literal["bytes", "fingerprint"] = "bytes"
    """Whether batches were read back, or their fingerprints were taken inside the step."""
    verdict: Verdict
    batches: int
    """Batches that the model was given."""
    expected_batches: int
    samples: int
    """Samples that the model was given."""
    expected_samples: int
    missing_batches: tuple[int, ...] = ()
    """Numbers of expected batches that never came."""
    repeated_batches: tuple[int, ...] = ()
    """Numbers of expected batches that came too often."""
    missing_samples: int = 0
    repeated_samples: int = 0
    max_ulps: int | None = None
    """Largest difference of a value, in units in the last place; of integers, their difference."""
    difference: str | None = None
    """The first difference, spelled out; `None` if there is none."""

    @property
    def identical(self) -> bool:
        """Whether the model was given exactly what it should."""
        return self.verdict == "identical"

    def to_dict(self) -> dict[str, Any]:
        """Return the fields with lists for tuples, as JSON has them."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}


def compare(
    name: str,
    expected: Sequence[BatchRecord],
    got: Sequence[BatchRecord],
    *,
    strangers: Mapping[bytes, Arrays] | None = None,
    values: Callable[[int], Arrays | None] = lambda position: None,
) -> PassResult:
    """Return the verdict on one pass.

    Args:
        name: of the pass.
        expected: the batches that it should have been given, in order.
        got: the batches that it was given, in order.
        strangers: the values of samples that are not expected, see `Recorder`.
        values: returns the values of the expected sample at a position, counted over all batches.
    """
    want, have = _samples(expected), _samples(got)
    result: dict[str, Any] = {
        "name": name,
        "batches": len(got),
        "expected_batches": len(expected),
        "samples": len(have),
        "expected_samples": len(want),
    }
    if [b.digest for b in expected] == [b.digest for b in got]:
        return PassResult(verdict="identical", **result)
    if difference := other_form(expected, got):
        return PassResult(verdict="other_dtype_or_shape", difference=difference, **result)
    missing, repeated = Counter(want) - Counter(have), Counter(have) - Counter(want)
    if unknown := [digest for digest in repeated if digest not in set(want)]:
        ulps = _max_ulps(unknown, want, have, missing, strangers or {}, values)
        difference = _first_stranger(set(unknown), got, len(unknown), ulps)
        return PassResult(verdict="other_values", difference=difference, max_ulps=ulps, **result)
    if missing or repeated:
        return PassResult(
            verdict="missing_or_repeated",
            missing_batches=_surplus(expected, got),
            repeated_batches=_surplus(got, expected),
            missing_samples=missing.total(),
            repeated_samples=repeated.total(),
            difference=_first_difference(expected, got),
            **result,
        )
    if want == have:  # the same samples in the same order, but cut differently
        difference = other_form(expected, got, whole=True)
        return PassResult(verdict="other_dtype_or_shape", difference=difference, **result)
    return PassResult(verdict="other_order", difference=_first_difference(expected, got), **result)


def _samples(batches: Sequence[BatchRecord]) -> list[bytes]:
    return list(chain.from_iterable(batch.samples for batch in batches))


def other_form(
    expected: Sequence[BatchRecord], got: Sequence[BatchRecord], *, whole: bool = False
) -> str | None:
    """Spell out the first batch with another dtype or shape, with `whole` also of batches."""
    # Samples of several shapes in one input are no difference, wherever they come.
    known = {tuple(sorted(batch.sample_specs.items())) for batch in expected}
    for number, (want, have) in enumerate(zip(expected, got, strict=False)):
        form, wanted = (have.specs, want.specs) if whole else (have.sample_specs, want.sample_specs)
        if form == wanted or (not whole and tuple(sorted(form.items())) in known):
            continue
        if form.keys() != wanted.keys():
            return f"batch {number}: has {', '.join(form)}, expected {', '.join(wanted)}"
        name = next(name for name in wanted if form[name] != wanted[name])
        return f"batch {number}: {name} is {have.specs[name]}, expected {want.specs[name]}"
    return None


def _first_difference(expected: Sequence[BatchRecord], got: Sequence[BatchRecord]) -> str:
    numbers = {batch.digest: number for number, batch in reversed(list(enumerate(expected)))}
    positions = {digest: i for i, digest in reversed(list(enumerate(_samples(expected))))}
    for number, (want, have) in enumerate(zip_longest(expected, got)):
        if have is None:
            return f"batch {number}: never came"
        if want is None:
            return f"batch {number}: came after the {len(expected)} that were expected"
        if have.digest == want.digest:
            continue
        if have.digest in numbers:
            return f"batch {number}: is batch {numbers[have.digest]} of the reference"
        for i, digest in enumerate(have.samples):
            if i >= len(want.samples) or digest != want.samples[i]:
                return f"batch {number}: sample {i} is sample {positions[digest]} of the reference"
        return f"batch {number}: has {len(have.samples)} of {len(want.samples)} samples"
    raise AssertionError("called for passes without a difference")


def _surplus(some: Sequence[BatchRecord], others: Sequence[BatchRecord]) -> tuple[int, ...]:
    """Return the numbers of batches that come more often in `some`: their first place there.

    For batches that were given too often, that is their number in the reference, found in `others`.
    """
    surplus = Counter(batch.digest for batch in some) - Counter(batch.digest for batch in others)
    place: dict[str, int] = {}
    for number, batch in [*enumerate(others), *enumerate(some)]:
        place.setdefault(batch.digest, number)
    return tuple(sorted(place[digest] for digest in surplus.elements()))


def _first_stranger(
    unknown: set[bytes], got: Sequence[BatchRecord], count: int, ulps: int | None
) -> str:
    for number, batch in enumerate(got):
        for i, digest in enumerate(batch.samples):
            if digest in unknown:
                others = f", as has {count - 1} more" if count == 2 else ""
                others = f", as have {count - 1} more" if count > 2 else others
                size = (
                    f"; the largest difference is {ulps:,} ULP{'s' * (ulps != 1)}" if ulps else ""
                )
                return f"batch {number}: sample {i} has other values{others}{size}"
    raise AssertionError("called for passes without unknown samples")


def _max_ulps(
    unknown: Sequence[bytes],
    want: Sequence[bytes],
    have: Sequence[bytes],
    missing: Counter[bytes],
    strangers: Mapping[bytes, Arrays],
    values: Callable[[int], Arrays | None],
) -> int | None:
    """Return the largest difference of the samples whose values were kept; `None`: of none.

    A sample is compared with the one expected in its place if that one is missing, else with the
    nearest of those that are missing.
    """
    absent = [position for position, digest in enumerate(want) if digest in missing]
    found = []
    for digest in unknown:
        if digest not in strangers:
            continue
        place = have.index(digest)
        in_place = place < len(want) and want[place] in missing
        candidates = [place] if in_place else absent[:MAX_CANDIDATES]
        known = [sample for position in candidates if (sample := values(position)) is not None]
        if known:
            found.append(min(_sample_ulps(sample, strangers[digest]) for sample in known))
    return max(found, default=None)


def _sample_ulps(one: Arrays, other: Arrays) -> int:
    both = one.keys() & other.keys()
    return max((ulps(numbers(one[name]), numbers(other[name])) for name in both), default=0)


def ulps(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> int:
    """Return the largest difference of two arrays in units in the last place.

    Args:
        one: any numbers; of integers the plain difference counts. What is no number has no
            distance.
        other: the same shape. Of floating-point numbers, `one` is rounded to its dtype.

    Returns:
        How many representable numbers lie between the two that are farthest apart, plus one.
    """
    if one.size == 0 or one.shape != other.shape:
        return 0
    if other.dtype.kind not in "biu":
        one = np.asarray(with_dtype(one, other.dtype))
    if np.iscomplexobj(one):
        one, other = one.view(one.real.dtype), other.view(other.real.dtype)
    if "float" in one.dtype.name:  # bfloat16 and float8 too, which NumPy does not count as such
        one, other = _ordered(one), _ordered(other)
    elif one.dtype.kind not in "biu":
        return 0
    one, other = one.astype(object), other.astype(object)  # differences overflow no Python integer
    return int(np.max(np.abs(one - other)))


def _ordered(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Map floating-point numbers to integers so that neighbours are neighbours.

    The bits of positive numbers count up with the number, those of negative ones down.
    """
    bits = np.ascontiguousarray(array).view(f"i{array.dtype.itemsize}")
    return np.where(bits < 0, np.iinfo(bits.dtype).min - bits, bits)
