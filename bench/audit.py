"""The audit: does `fit` train on exactly the batches it should?

Owns: the reference, computed from the source with NumPy alone, and its comparison with what a
model was given. Shares no code with the loaders on purpose. Must not know: any framework.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from itertools import zip_longest
from typing import Any

import numpy as np

from loaders.contract import LoaderOptions, Rows
from loaders.source import ImageSource

AUDIT_BATCHES = 64
"""Full batches of an audit; half a batch follows, as the last batch of an epoch may be smaller."""

# Each quotient is rounded twice here, to float64 and to float32; a test compares all 256 with exact
# fractions.
_SCALED = (np.arange(256) / 255.0).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class BatchRecord:
    """What one batch was: enough to tell whether two are the same."""

    x: str
    """dtype and shape, such as `float32 (64, 32, 32, 3)`."""
    y: str
    digest: str
    """SHA-256 over dtype, shape and bytes of `x` and `y`."""


@dataclass(frozen=True, kw_only=True)
class AuditResult:
    """The verdict on one `fit`."""

    identical: bool
    batches: int
    """Batches that the model was given."""
    samples: int
    """Samples that it should have been given."""
    digest: str
    """SHA-256 over the digests of the batches, in their order."""
    expected_digest: str
    first_difference: str | None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as they stand in `run.json`."""
        return asdict(self)


def record_batch(x: Any, y: Any) -> BatchRecord:
    """Return the record of one batch of arrays."""
    digest = hashlib.sha256()
    for part in (x, y):
        digest.update(f"{part.dtype}{part.shape}".encode())
        digest.update(np.ascontiguousarray(part).data)
    return BatchRecord(
        x=f"{x.dtype} {x.shape}", y=f"{y.dtype} {y.shape}", digest=digest.hexdigest()
    )


def expected_batches(source: ImageSource, rows: Rows, options: LoaderOptions) -> list[BatchRecord]:
    """Return what `fit` must be given for these rows."""
    records = []
    for start in range(0, len(rows), options.batch_size):
        batch = rows[start : start + options.batch_size]
        images = source.images[batch]
        x = _SCALED[images] if options.pixels == "float32" else images
        classes = np.arange(len(source.class_names))
        y = (source.labels[batch][:, None] == classes).astype(np.float32)
        records.append(record_batch(x, y))
    return records


def compare(expected: list[BatchRecord], got: list[BatchRecord], *, samples: int) -> AuditResult:
    """Return the verdict.

    Args:
        expected: the reference, from `expected_batches`.
        got: what the model recorded, in the order of its steps.
        samples: number of samples in the reference.
    """
    difference = _first_difference(expected, got)
    return AuditResult(
        identical=difference is None,
        batches=len(got),
        samples=samples,
        digest=_total(got),
        expected_digest=_total(expected),
        first_difference=difference,
    )


def _first_difference(expected: list[BatchRecord], got: list[BatchRecord]) -> str | None:
    for number, (want, have) in enumerate(zip_longest(expected, got)):
        if want == have:
            continue
        if want is None or have is None:
            return f"batch {number}: the model was given {len(got)} of {len(expected)} batches"
        for name in ("x", "y"):
            if getattr(have, name) != getattr(want, name):
                return (
                    f"batch {number}: {name} is {getattr(have, name)}, "
                    f"expected {getattr(want, name)}"
                )
        return f"batch {number}: other values or another order of samples"
    return None


def _total(records: list[BatchRecord]) -> str:
    return hashlib.sha256("".join(record.digest for record in records).encode()).hexdigest()
