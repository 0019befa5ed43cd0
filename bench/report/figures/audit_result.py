"""Reads the audit of a case: its verdict, its passes, and whether a failure was expected."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from keras_loader_bench.bench.record.audit_record import AuditRecord, PassResult
from keras_loader_bench.bench.record.schema import DIFFERENT, IDENTICAL, CaseRecord

DIFFERENT_DIGESTS = "different_digests"
"""Verdict on rows that all claim identical batches and disagree on what these are."""

_MISSING = "missing_or_repeated"


def read_audit(result: CaseRecord) -> AuditRecord | None:
    """Return what the audit of a case found; `None` if there was none.

    The verdict, the flag and every pass must agree on "identical", or the batches do not count as
    identical.
    """
    audit = result.audit
    if audit is None:
        return None
    verdicts = [audit.verdict, *(each.verdict for each in audit.passes)]
    verdict = next((name for name in verdicts if name != IDENTICAL), IDENTICAL)
    if verdict == IDENTICAL and not audit.identical:
        verdict = DIFFERENT
    return replace(audit, verdict=verdict, identical=verdict == IDENTICAL)


def short_verdict(verdict: str, passes: Sequence[PassResult]) -> str:
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
