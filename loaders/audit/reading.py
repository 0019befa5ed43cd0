"""Reads the input directly, to know what every pass should get and what the input promises.

This is the reference for an input whose source is unknown. It keeps digests and a bounded number
of values.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate, chain
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from keras_loader_bench.loaders.audit.records import Arrays, BatchRecord, record_batch, split

Promise = Literal["ordered", "shuffled", "drops_last", "other_contents"]
"""What two readings have in common: the same batches in the same order; the same samples; the same
samples except for less than a batch, as with shuffling and an incomplete last batch; neither."""

PROMISES: tuple[Promise, ...] = ("ordered", "shuffled", "drops_last", "other_contents")
"""From the strongest to the weakest."""

KEPT_BYTES = 64 * 2**20
"""Values that are kept, to say how far others are off."""

NARROW = {"float64": "float32", "int64": "int32", "uint64": "uint32", "complex128": "complex64"}
"""What a backend without 64 bits makes of a dtype."""


class Reading:
    """One reading of an input, batch by batch.

    Args:
        keep_bytes: how much of the values is kept.
    """

    def __init__(self, *, keep_bytes: int = 0) -> None:
        self._records: dict[tuple[bool, bool], list[BatchRecord]] = {
            (targets, narrow): [] for targets in (False, True) for narrow in (False, True)
        }
        self.rounded: set[str] = set()
        """Names of arrays of which a value changes where a backend has no 64 bits."""
        self._kept: list[Arrays] = []
        self._keep_bytes = keep_bytes

    def add(self, batch: Arrays) -> None:
        """Record the next batch."""
        narrow = {name: _narrow(array) for name, array in batch.items()}
        for name, array in batch.items():
            if narrow[name] is not array and not _survives(array, narrow[name]):
                self.rounded.add(name)
        wide = any(narrow[name] is not array for name, array in batch.items())
        targets = len(_only_x(batch)) < len(batch)

        record = record_batch(batch)
        inputs = record_batch(_only_x(batch)) if targets else record
        self._records[True, False].append(record)
        self._records[False, False].append(inputs)
        self._records[True, True].append(record_batch(narrow) if wide else record)
        self._records[False, True].append(record_batch(_only_x(narrow)) if wide else inputs)

        self._keep_bytes -= sum(array.nbytes for array in batch.values())
        if self._keep_bytes >= 0:
            self._kept.append({name: np.array(array) for name, array in batch.items()})

    def batches(self, *, targets: bool = True, narrow: bool = False) -> list[BatchRecord]:
        """Return the records of all batches.

        Args:
            targets: whether with everything but `x`; `predict` is given none of it.
            narrow: whether with dtypes of 32 bits where the input has 64.
        """
        return self._records[targets, narrow]

    def samples(self, *, targets: bool = True) -> frozenset[bytes]:
        """Return the digests of all samples, in either dtype."""
        records = chain(self._records[targets, False], self._records[targets, True])
        return frozenset(digest for record in records for digest in record.samples)

    def values(self, position: int, *, targets: bool = True, narrow: bool = False) -> Arrays | None:
        """Return the sample at a position, counted over all batches; `None`: it was not kept."""
        ends = list(accumulate(len(record.samples) for record in self._records[True, False]))
        number = bisect_right(ends, position)
        if number >= len(self._kept):
            return None
        start = ends[number - 1] if number else 0
        sample = split(self._kept[number])[position - start]
        sample = sample if targets else _only_x(sample)
        return {name: _narrow(a) if narrow else a for name, a in sample.items()}


def promise(one: Sequence[BatchRecord], other: Sequence[BatchRecord]) -> Promise:
    """Return what two readings of an input have in common."""
    if [batch.digest for batch in one] == [batch.digest for batch in other]:
        return "ordered"
    first, second = samples_of(one), samples_of(other)
    if first == second:
        return "shuffled"
    differ = max((first - second).total(), (second - first).total())
    same_length = len(one) == len(other) and first.total() == second.total()
    return "drops_last" if same_length and differ < largest(one) else "other_contents"


def samples_of(batches: Sequence[BatchRecord]) -> Counter[bytes]:
    """Return how often each sample comes."""
    return Counter(digest for batch in batches for digest in batch.samples)


def largest(batches: Sequence[BatchRecord]) -> int:
    """Return the number of samples in the largest batch."""
    return max((len(batch.samples) for batch in batches), default=0)


def _only_x(arrays: Arrays) -> Arrays:
    return {name: a for name, a in arrays.items() if name == "x" or name.startswith("x/")}


def _narrow(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return the array with 32 bits a number; the same array where it has no more."""
    if array.dtype.name not in NARROW:
        return array
    with np.errstate(over="ignore"):
        return np.asarray(array).astype(NARROW[array.dtype.name])


def _survives(array: npt.NDArray[Any], narrow: npt.NDArray[Any]) -> bool:
    return np.array_equal(array, narrow.astype(array.dtype), equal_nan=array.dtype.kind in "fc")
