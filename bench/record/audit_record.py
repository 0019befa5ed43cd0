"""What `run.json` says of an audit; see `bench.record.schema`."""

from __future__ import annotations

from dataclasses import dataclass

from keras_loader_bench.loaders.audit.batches.verdict import (
    PassResult as PassResult,  # reports read `record/` only
)


@dataclass(frozen=True, kw_only=True)
class PixelRecord:
    """By how much pixels differ from the reference's, in the first batches of an epoch."""

    largest_levels: float
    """Of 255."""

    mean_levels: float
    """Over all values, those that are the same too."""

    share: float
    """Of all values, those that differ; from 0 to 1."""


@dataclass(frozen=True, kw_only=True)
class UnionRecord:
    """The rows that the audit expects of all ranks of a case together."""

    epochs: int
    """How many were looked at."""

    samples: int
    """Of the source."""

    missing: int
    """Rows of an epoch that are expected of no rank; of the epoch with the most."""

    again: int
    """Rows of an epoch that are expected again, on this rank or another; likewise."""

    steps: list[int]
    """Batches of each rank."""


@dataclass(frozen=True, kw_only=True)
class AuditRecord:
    """What the audit of a case found."""

    verdict: str
    identical: bool
    passes: list[PassResult]
    digest: str | None = None
    """SHA-256 of the batches of the first epoch."""

    expected_digest: str | None = None
    batches: int | None = None
    """In the first epoch."""

    samples: int | None = None
    first_difference: str | None = None
    promise: str | None = None
    """What two direct readings of a user's input had in common: see
    `loaders.audit.batches.reading`."""

    by: str | None = None
    """By what samples of a user's input were recognised; see `loaders.audit.batches.judge.By`."""

    case: str | None = None
    """The id of the case in whose process it ran; `None` in older files: that of its own."""

    pixels: PixelRecord | None = None
    """Of a loader that gives other values, and nothing else that is wrong."""

    union: UnionRecord | None = None
    """Of several ranks, each of which is compared with its share."""
