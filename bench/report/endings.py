"""Collects the cases that did not end well, and the reasons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from keras_loader_bench.bench.record.footprint import died_of_budget
from keras_loader_bench.bench.report.audit_result import read_audit, read_known_failure

SKIPPED = "skipped"
"""Outcome of a case that could not be tried, because a package is missing. Not a failure."""


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


def case_outcome(result: Mapping[str, Any]) -> str:
    """Return how a case ended; one with wrong batches never counts as `ok`."""
    audit = read_audit(result)
    if result["outcome"] == "ok" and audit and not audit.identical:
        return "audit_failed"
    return str(result["outcome"])


def case_signal(result: Mapping[str, Any]) -> str | None:
    """Return the name of the signal that ended a case."""
    signal = (result.get("error") or {}).get("signal")
    return None if signal is None else str(signal)


def endings(run: Mapping[str, Any]) -> list[Ending]:
    """Return the cases of a run that did not end well, in the order in which they ran.

    A case that exceeded its memory budget is a result and not listed.
    """
    fine = ("ok", SKIPPED)
    return [
        _ending(result)
        for result in [*run["cases"], *run.get("probes", ())]
        if case_outcome(result) not in fine and not died_of_budget(result)
    ]


def skipped_cases(run: Mapping[str, Any]) -> list[Skipped]:
    """Return the cases that were skipped, by reason, in the order in which these came up."""
    found: dict[str, list[str]] = {}
    for result in run["cases"]:
        if result["outcome"] == SKIPPED:
            reason = str((result.get("error") or {}).get("message") or "no reason recorded")
            found.setdefault(reason, []).append(result["id"])
    return [Skipped(reason=reason, ids=tuple(ids)) for reason, ids in found.items()]


def missing_cases(run: Mapping[str, Any]) -> int:
    """Count the cases known to lack rounds: cut short, or planned and never started."""
    cut_short: int = sum(result["outcome"] == "interrupted" for result in run["cases"])
    planned = int(run.get("planned_cases") or 0)
    return cut_short + max(0, planned - len(run["cases"]))


def _ending(result: Mapping[str, Any]) -> Ending:
    error, audit = result.get("error") or {}, read_audit(result)
    known = read_known_failure(result) is not None
    difference = None if audit is None or audit.identical else audit.difference or "no details"
    message = ": ".join(str(error[key]) for key in ("type", "message") if error.get(key))
    blocks = {"Traceback": error.get("traceback"), "End of the log": error.get("log_tail")}
    if difference is not None and known:
        blocks = {}  # as expected: the section on the audit says all
    return Ending(
        id=result["id"],
        outcome=case_outcome(result),
        signal=case_signal(result),
        message="" if difference is not None and difference in message else message,
        difference=difference,
        known=known,
        blocks={title: str(text) for title, text in blocks.items() if text},
    )
