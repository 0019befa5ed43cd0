"""A 32-bit fingerprint of a batch, in NumPy, and the verdict on passes recorded by it.

`loaders.audit.batches.fingerprint_model` computes the same number inside a compiled step. There it
shows batches as the step reads them, while transfers and steps run behind the thread that trains; a
model that reads its batches back waits for every transfer, so it cannot see memory that is used
again too early.

The fingerprint is exact on the bits. With all arithmetic modulo 2**32:

    sample = form + sum over arrays a and positions j of weight(a, j) * mix(word[a, j])
    batch  = sum over samples k of weight(-1, k) * mix(sample[k])

`mix` is a bijection and every weight is odd, so that a batch in which a single value, or a single
sample, differs always has another fingerprint. Of all other differences (two pixels, samples or
labels that changed places, say) about one in 2**32 is missed.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from keras_loader_bench.loaders.audit.batches.fields import DenseArrays
from keras_loader_bench.loaders.audit.batches.verdict import PassResult, Verdict

Words = npt.NDArray[np.uint32]

MIX = (16, 0x7FEB352D, 15, 0x846CA68B, 16)
"""Shifts and factors of `mix`: "lowbias32" of https://github.com/skeeto/hash-prospector."""

STRIDE = 0x9E3779B9
"""Between the weights of two arrays; odd, so that no two arrays share their weights."""

WORD_DTYPES = ("bool", "int8", "uint8", "int16", "int32")
"""What is widened to a word as it is. Of float32 the bits are taken; every other dtype is first
rounded to float32."""


class BatchPrint(NamedTuple):
    """What a step has recorded of its batch."""

    fingerprint: int
    """In [0, 2**32)."""
    samples: int


def form(specs: Mapping[str, str]) -> int:
    """Return what dtypes and shapes add to each sample.

    Args:
        specs: name of an array -> dtype and shape of one sample, as in `BatchRecord`.
    """
    return zlib.crc32("; ".join(f"{name}: {spec}" for name, spec in specs.items()).encode())


def fingerprint(batch: DenseArrays) -> BatchPrint:
    """Return the fingerprint of a batch.

    Args:
        batch: arrays of shape `(n, ...)`, all of the same `n`.
    """
    samples = sample_prints(batch)
    return BatchPrint(int(samples @ weights(-1, len(samples))), len(samples))


def sample_prints(batch: DenseArrays) -> Words:
    """Return the fingerprint of each sample of a batch, `mix(sample[k])` above."""
    specs = {name: f"{array.dtype} {array.shape[1:]}" for name, array in batch.items()}
    num_samples = len(next(iter(batch.values())))
    samples = np.full(num_samples, form(specs), np.uint32)
    for number, array in enumerate(batch.values()):
        words = _mix(_words(array).reshape(num_samples, -1))
        samples += words @ weights(number, words.shape[1])
    return _mix(samples)


def _words(array: npt.NDArray[Any]) -> Words:
    if array.dtype.name in WORD_DTYPES:
        return array.astype(np.uint32)
    return np.ascontiguousarray(array, np.float32).view(np.uint32)


def _mix(words: Words) -> Words:
    first, factor, second, other_factor, third = MIX
    words = words ^ (words >> np.uint32(first))
    words *= np.uint32(factor)
    words ^= words >> np.uint32(second)
    words *= np.uint32(other_factor)
    words ^= words >> np.uint32(third)
    return words


def weights(number: int, count: int) -> Words:
    """Return the weights of the first positions of an array, or with -1 those of the samples."""
    positions = np.arange(count, dtype=np.uint32) + np.uint32(number * STRIDE % 2**32)
    return _mix(positions) | np.uint32(1)


def compare_fingerprints(
    name: str, expected: Sequence[BatchPrint], got: Sequence[BatchPrint]
) -> PassResult:
    """Return the verdict on a pass of which the fingerprints are known.

    Args:
        name: of the pass.
        expected: of the batches that it should have been given, in order.
        got: of those that it was given, in order.
    """
    missing, repeated = Counter(expected) - Counter(got), Counter(got) - Counter(expected)
    unknown = repeated.keys() - set(expected)
    verdict: Verdict
    if list(expected) == list(got):
        verdict = "identical"
    elif unknown:
        verdict = "other_fingerprint"
    else:
        verdict = "missing_or_repeated" if missing or repeated else "other_order"
    places = {batch: number for number, batch in reversed(list(enumerate(expected)))}
    return PassResult(
        name=name,
        compared="fingerprint",
        verdict=verdict,
        batches=len(got),
        expected_batches=len(expected),
        samples=sum(batch.samples for batch in got),
        expected_samples=sum(batch.samples for batch in expected),
        missing_batches=tuple(sorted(places[batch] for batch in missing.elements())),
        repeated_batches=tuple(
            sorted(places[batch] for batch in repeated.elements() if batch in places)
        ),
        difference=_first_difference(expected, got, places),
    )


def _first_difference(
    expected: Sequence[BatchPrint], got: Sequence[BatchPrint], places: Mapping[BatchPrint, int]
) -> str | None:
    for number, (want, have) in enumerate(zip(expected, got, strict=False)):
        if have == want:
            continue
        if have in places:
            return f"batch {number}: is batch {places[have]} of the reference"
        if have.samples != want.samples:
            return f"batch {number}: has {have.samples} samples, expected {want.samples}"
        return f"batch {number}: is none of the reference's batches"
    if len(got) < len(expected):
        return f"batch {len(got)}: never came"
    if len(got) > len(expected):
        return f"batch {len(expected)}: came after the {len(expected)} that were expected"
    return None
