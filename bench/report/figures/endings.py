"""Collects the cases that did not end well, and the reasons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from keras_loader_bench.bench.record.schema import (
    NOT_APPLICABLE,
    SKIPPED,
    CaseRecord,
    ErrorRecord,
    Run,
)
from keras_loader_bench.bench.report.figures.audit_result import read_audit


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How and why one case ended badly. Texts come from anywhere and may hold anything."""

    id: str
    outcome: str
    signal: str | None
    message: str
    """Type and message of the error; empty if there is none, or none but the difference."""

    difference: str | None
    """The first thing wrong with the batches."""

    known: bool
    """Whether wrong batches were expected."""

    blocks: Mapping[str, str]
    """Title -> traceback or log, as far as there are any and the ending was not expected."""


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """The cases that were skipped for the same reason."""

    reason: str
    ids: tuple[str, ...]


def case_outcome(result: CaseRecord) -> str:
    """Return how a case ended; one with wrong batches never counts as `ok`."""
    audit = read_audit(result)
    if result.outcome == "ok" and audit and not audit.identical:
        return "audit_failed"
    return result.outcome


def case_signal(result: CaseRecord) -> str | None:
    """Return the name of the signal that ended a case."""
    return result.error.signal if result.error else None


def endings(run: Run) -> list[Ending]:
    """Return the cases of a run that did not end well, in the order in which they ran.

    A case that exceeded its memory budget is a result and not listed.
    """
    fine = ("ok", SKIPPED)
    return [
        _ending(result)
        for result in [*run.cases, *run.probes]
        if case_outcome(result) not in fine and not result.died_of_budget
    ]


def skipped_cases(run: Run) -> list[Skipped]:
    """Return the cases that were skipped, by reason, in the order in which these came up.

    A remedy that is none for its input is not listed.
    """
    found: dict[str, list[str]] = {}
    for result in run.cases:
        if result.outcome == SKIPPED and not (result.error and result.error.type == NOT_APPLICABLE):
            reason = (result.error and result.error.message) or "no reason recorded"
            found.setdefault(reason, []).append(result.id)
    return [Skipped(reason=reason, ids=tuple(ids)) for reason, ids in found.items()]


def missing_cases(run: Run) -> int:
    """Count the cases known to lack processes: cut short, or planned and never started."""
    cut_short = sum(map(run.lacks_processes, run.cases))
    return cut_short + max(0, run.planned_cases - len(run.cases))


def _ending(result: CaseRecord) -> Ending:
    error, audit = result.error or ErrorRecord(), read_audit(result)
    known = result.may_fail_audit
    difference = (
        None if audit is None or audit.identical else audit.first_difference or "no details"
    )
    message = ": ".join(filter(None, (error.type, error.message)))
    if error.process:
        message += f" (process {error.process})"
    blocks = {"Traceback": error.traceback, "End of the log": error.log_tail}
    if difference is not None and known:
        blocks = {}  # as expected: the section on the audit says all
    return Ending(
        id=result.id,
        outcome=case_outcome(result),
        signal=case_signal(result),
        message="" if difference is not None and difference in message else message,
        difference=difference,
        known=known,
        blocks={title: text for title, text in blocks.items() if text},
    )
