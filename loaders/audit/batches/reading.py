"""Reads the input directly, to know what every pass should get and what the input promises.

This is the reference for an input whose source is unknown. It keeps digests and a bounded number
of values.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import accumulate, chain
from typing import Any, Literal

import numpy as np

from keras_loader_bench.loaders.audit.batches.fields import (
    Field,
    Uneven,
    numbers,
    same_bytes,
    with_dtype,
)
from keras_loader_bench.loaders.audit.batches.records import (
    Arrays,
    BatchRecord,
    View,
    is_part_of,
    record_batch,
    sample_at,
)

Promise = Literal["ordered", "shuffled", "drops_last", "other_contents"]
"""What two readings have in common: the same batches in the same order; the same samples; the same
samples except for less than a batch, as with shuffling and an incomplete last batch; neither."""

PROMISES: tuple[Promise, ...] = ("ordered", "shuffled", "drops_last", "other_contents")
"""From the strongest to the weakest."""

KEPT_BYTES = 64 * 2**20
"""Values that are kept, to say how far others are off."""

ROUNDED = {"float64": "float32", "complex128": "complex64"}
"""What backends of 32 bits round to. Integers are not rounded: they fit, or become others."""


class Reading:
    """One reading of an input, batch by batch.

    Args:
        keep_bytes: how much of the values is kept.
        identify: returns the fields by which the samples of a batch are recognised; `None`: all.
    """

    def __init__(
        self, *, keep_bytes: int = 0, identify: Callable[[Arrays], Arrays] | None = None
    ) -> None:
        self._batches: list[BatchRecord] = []
        self._converted: list[BatchRecord] = []
        self.converted: set[str] = set()
        """Names of fields that are others where a backend has no 64 bits or no ragged rows."""
        self.dtypes: dict[str, Any] = {}
        """Name of a field -> its dtype, where it first came."""
        self._kept: list[Arrays] = []
        self._keep_bytes = keep_bytes
        self._identify = identify

    def add(self, batch: Arrays) -> int:
        """Record the next batch; return its number of samples."""
        record = self._record(batch)
        self._batches.append(record)
        changed = {name: other for name, f in batch.items() if (other := _converted(f)) is not f}
        self.converted.update(changed)
        self._converted.append(self._record({**batch, **changed}) if changed else record)
        for name, field in batch.items():
            self.dtypes.setdefault(name, field.dtype)

        self._keep_bytes -= sum(field.nbytes for field in batch.values())
        if self._keep_bytes >= 0:
            self._kept.append(
                {n: f if isinstance(f, Uneven) else np.array(f) for n, f in batch.items()}
            )
        return len(record.samples)

    @property
    def has_labels(self) -> bool:
        """Whether batches hold more than `x`."""
        return any(not is_part_of(name, "x") for name in self.dtypes)

    def _record(self, batch: Arrays) -> BatchRecord:
        content = self._identify(batch) if self._identify else None
        return record_batch(batch, content=content)

    def batches(self, view: View = "all", *, converted: bool = False) -> list[BatchRecord]:
        """Return the records of all batches.

        Args:
            view: by what samples are recognised.
            converted: whether as backends without 64 bits and ragged rows get them: floating-point
                numbers rounded to 32 bits, rows filled up with zeros.
        """
        return [each.seen(view) for each in (self._converted if converted else self._batches)]

    def samples(self, view: View = "all") -> frozenset[bytes]:
        """Return the digests of all samples, converted or not."""
        records = chain(self.batches(view), self.batches(view, converted=True))
        return frozenset(digest for record in records for digest in record.samples)

    def values(self, position: int) -> Arrays | None:
        """Return the sample at a position, counted over all batches; `None`: it was not kept."""
        ends = list(accumulate(len(record.samples) for record in self._batches))
        number = bisect_right(ends, position)
        if number >= len(self._kept):
            return None
        return sample_at(self._kept[number], position - (ends[number - 1] if number else 0))


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


def _converted(field: Field) -> Field:
    """Return a field as a backend without 64 bits and ragged rows gets it, in its own dtype."""
    if isinstance(field, Uneven) and field.padded is not None:
        field = field.padded
    values = numbers(field)
    if values.dtype.name not in ROUNDED:
        return field
    rounded = with_dtype(with_dtype(field, ROUNDED[values.dtype.name]), values.dtype)
    return field if same_bytes(numbers(rounded), values) else rounded


def digests_of(batches: Sequence[BatchRecord]) -> list[str]:
    """Return the beginnings of the digests of batches."""
    return [batch.digest[:16] for batch in batches]


def content_of(batches: Sequence[BatchRecord]) -> str:
    """Return a digest of all samples in no order."""
    samples = sorted(sample for batch in batches for sample in batch.samples)
    return hashlib.sha256(b"".join(samples)).hexdigest()


def doubles(batches: Sequence[BatchRecord]) -> list[tuple[int, int]]:
    """Return the numbers of batches that equal an earlier one, each with the first one's."""
    places: dict[str, int] = {}
    return [
        (number, places[batch.digest])
        for number, batch in enumerate(batches)
        if places.setdefault(batch.digest, number) != number
    ]
