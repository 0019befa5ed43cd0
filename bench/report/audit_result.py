"""Reads the audit of a case: its verdict, its passes, and whether a failure was expected.

Owns: when batches count as identical, and a verdict in a few words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from keras_loader_bench.bench.record.schema import DIFFERENT, IDENTICAL

DIFFERENT_DIGESTS = "different_digests"
"""Verdict on rows that all claim identical batches and disagree on what these are."""

_MISSING = "missing_or_repeated"


@dataclass(frozen=True, kw_only=True)
class Pass:
    """What one pass over the rows was given: an epoch of `fit`, `evaluate` or `predict`."""

    name: str
    compared: str = "bytes"
    """`bytes`: batches were read back; `fingerprint`: nothing waited for them."""

    verdict: str
    """`identical`, `other_order`, `missing_or_repeated`, `other_values`, `other_dtype_or_shape`,
    `other_fingerprint`."""

    batches: int
    expected_batches: int
    samples: int
    expected_samples: int
    missing_batches: tuple[int, ...] = ()
    """Indices of the batches of the reference that never came."""

    repeated_batches: tuple[int, ...] = ()
    """Indices of the batches of the reference that came more than once."""

    missing_samples: int = 0
    repeated_samples: int = 0
    max_ulps: int | None = None
    """Largest difference of two values, in units in the last place."""

    difference: str | None = None
    """The first thing wrong in this pass."""


@dataclass(frozen=True, kw_only=True)
class RecordedFailure:
    """Why a loader is expected to fail its audit. Texts come from anywhere."""

    reason: str
    link: str
    """Where it is explained."""


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What one audit found."""

    verdict: str
    digest: str | None
    """SHA-256 of the batches that the model was given."""

    difference: str | None
    """The first thing wrong with the batches."""

    passes: tuple[Pass, ...] = field(default=())
    """Empty in files of schema 1."""

    @property
    def identical(self) -> bool:
        """Whether the model was given the batches of the reference, in every pass."""
        return self.verdict == IDENTICAL


def read_audit(result: Mapping[str, Any]) -> Audit | None:
    """Return what the audit of a case found; `None` if there was none.

    The verdict, the flag and every pass must agree on "identical", or the batches do not count as
    identical.
    """
    raw = result.get("audit")
    if not raw:
        return None
    passes = tuple(_read_pass(each) for each in raw.get("passes") or ())
    verdicts = [raw.get("verdict") or IDENTICAL, *(each.verdict for each in passes)]
    verdict = next((name for name in verdicts if name != IDENTICAL), IDENTICAL)
    if verdict == IDENTICAL and raw.get("identical") is not True:
        verdict = DIFFERENT
    return Audit(
        verdict=verdict,
        digest=_text(raw.get("digest")),
        difference=_text(raw.get("first_difference")),
        passes=passes,
    )


def read_known_failure(result: Mapping[str, Any]) -> RecordedFailure | None:
    """Return why a case is expected to fail its audit; `None` if it is not."""
    raw = result.get("known_failure")
    return RecordedFailure(reason=raw["reason"], link=raw["link"]) if raw else None


def short_verdict(verdict: str, passes: Sequence[Pass]) -> str:
    """Say in a few words what is wrong: `other order`, `11 of 65 missing`."""
    worst = next((each for each in passes if each.verdict == verdict), None)
    if verdict == _MISSING and worst:
        for what in ("missing", "repeated"):
            if batches := getattr(worst, f"{what}_batches"):
                return f"{len(batches)} of {worst.expected_batches} {what}"
        for what in ("missing", "repeated"):
            if samples := getattr(worst, f"{what}_samples"):
                return f"{samples:,} of {worst.expected_samples:,} samples {what}"
    return verdict_words(verdict)


def verdict_words(verdict: str) -> str:
    """Write a verdict as words: `missing or repeated`."""
    return verdict.replace("_", " ")


def _read_pass(raw: Mapping[str, Any]) -> Pass:
    values = {name: raw[name] for name in Pass.__dataclass_fields__ if name in raw}
    for name in ("missing_batches", "repeated_batches"):
        values[name] = tuple(sorted(set(values.get(name) or ())))
    return Pass(**values)


def _text(value: object) -> str | None:
    return None if value is None else str(value)
