"""The cases that did not end well: what is shown of them instead of a figure, and why.

Must not know: how it is written or escaped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How and why one case ended badly. Texts come from anywhere and may hold anything."""

    id: str
    outcome: str
    signal: str | None
    message: str
    """Type and message of the error; empty where there is none."""

    difference: str | None
    """The first thing wrong with the batches."""

    blocks: Mapping[str, str]
    """Title -> traceback or log, as far as there are any."""


def case_outcome(result: Mapping[str, Any]) -> str:
    """Return how a case ended; one with wrong batches never counts as `ok`."""
    audit = result.get("audit") or {}
    if result["outcome"] == "ok" and audit.get("identical") is False:
        return "audit_failed"
    return str(result["outcome"])


def case_signal(result: Mapping[str, Any]) -> str | None:
    """Return the name of the signal that ended a case."""
    signal = (result.get("error") or {}).get("signal")
    return None if signal is None else str(signal)


def endings(run: Mapping[str, Any]) -> list[Ending]:
    """Return the cases of a run that did not end well, in the order in which they ran."""
    return [_ending(result) for result in run["cases"] if case_outcome(result) != "ok"]


def missing_cases(run: Mapping[str, Any]) -> int:
    """Count the cases known to lack rounds: cut short, or planned and never started."""
    cut_short: int = sum(result["outcome"] == "interrupted" for result in run["cases"])
    planned = int(run.get("planned_cases") or 0)
    return cut_short + max(0, planned - len(run["cases"]))


def _ending(result: Mapping[str, Any]) -> Ending:
    error, audit = result.get("error") or {}, result.get("audit") or {}
    wrong = audit.get("identical") is False
    blocks = {"Traceback": error.get("traceback"), "End of the log": error.get("log_tail")}
    return Ending(
        id=result["id"],
        outcome=case_outcome(result),
        signal=case_signal(result),
        message=": ".join(str(error[key]) for key in ("type", "message") if error.get(key)),
        difference=str(audit.get("first_difference") or "no details") if wrong else None,
        blocks={title: str(text) for title, text in blocks.items() if text},
    )
