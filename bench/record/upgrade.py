"""Older schemas of `run.json`, brought to the newest one, so that the rest knows one only."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from keras_loader_bench.bench.record.process_record import ProcessRecord
from keras_loader_bench.bench.record.schema import DIFFERENT, IDENTICAL, SCHEMA

_OF_A_PROCESS = [
    field.name for field in fields(ProcessRecord) if field.name not in ("number", "outcome")
]


def upgrade(run: dict[str, Any]) -> dict[str, Any]:
    """Return an older run as one of this schema.

    Schema 1 knew of an audit only whether the batches of `fit` were identical. Schema 2 knew no
    probes. Up to schema 5 a case was one process,
    and its protocol does not say so. What else is new since is optional, and readings
    may have names, as in schema 6.

    Args:
        run: the decoded content of `run.json`; what lacks its form is left to whoever checks it.
    """
    if isinstance(protocol := run.get("protocol"), dict):
        older = {"processes": 1, "memory_processes": 1}
        # Until method 4 all rounds had one length, and all processes one number of them.
        for new, name in (("steady_round_seconds", "round_seconds"), ("most_rounds", "rounds")):
            if name in protocol:
                older[new] = protocol[name]
        run = {**run, "protocol": older | protocol}
    if run["schema"] >= 6:
        return {**run, "schema": SCHEMA}
    lists = {"cases": run.get("cases"), "probes": run.get("probes", [])}
    upgraded: dict[str, Any] = {
        name: [_case(each) for each in cases] if isinstance(cases, list) else cases
        for name, cases in lists.items()
    }
    if isinstance(plan := run.get("plan"), list):
        upgraded["plan"] = [_options(each) for each in plan]
    return {**run, "schema": SCHEMA, **upgraded}


def _options(case: Any) -> Any:
    """Leave out the model: it followed from the benchmark, and was no option."""
    if not isinstance(case, dict):
        return case
    return {name: value for name, value in case.items() if name != "model"}


def _case(case: Any) -> Any:
    if not isinstance(case, dict):
        return case
    process = {name: case[name] for name in _OF_A_PROCESS if name in case}
    rest = {name: value for name, value in case.items() if name not in process}
    upgraded = {**rest, "processes": [process]}
    if "case" in case:
        upgraded["case"] = _options(case["case"])
    if audit := case.get("audit"):
        upgraded["audit"] = _audit(audit)
    else:
        upgraded.pop("audit", None)
    return upgraded


def _audit(audit: Any) -> Any:
    if not isinstance(audit, dict):
        return audit
    verdict = IDENTICAL if audit.get("identical") is True else DIFFERENT
    return {"identical": False, "verdict": verdict, "passes": [], **audit}
