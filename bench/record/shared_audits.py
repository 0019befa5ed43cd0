"""Audits as the file has them: one that several cases share stands in the first of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

AUDIT = "audit"
_LISTS = ("cases", "probes")


def name_audits(run: dict[str, Any]) -> dict[str, Any]:
    """Return what is written: a case whose audit an earlier one has names that case instead.

    Args:
        run: plain values, as JSON has them.
    """
    first: list[tuple[Any, str]] = []

    def named(case: dict[str, Any]) -> Any:
        audit = case[AUDIT]
        for known, name in first:
            if known == audit:
                return name
        first.append((audit, case["id"]))
        return audit

    written: dict[str, Any] = _replaced(run, named)
    return written


def full_audits(run: Any) -> Any:
    """Return what was read, with the audit itself in every case that names another one.

    Args:
        run: as `json.loads` gives it; a name that no earlier case has stays what it is.
    """
    found: dict[str, Any] = {}

    def full(case: dict[str, Any]) -> Any:
        audit = case[AUDIT]
        if isinstance(audit, str):
            return found.get(audit, audit)
        found[case["id"]] = audit
        return audit

    return _replaced(run, full)


def _replaced(run: Any, other: Callable[[dict[str, Any]], Any]) -> Any:
    """Return a run with another form of the audit of each case that has one."""
    if not isinstance(run, dict):
        return run
    changed = {}
    for name in _LISTS:
        if isinstance(cases := run.get(name), list):
            changed[name] = [
                {**case, AUDIT: other(case)} if _has_audit(case) else case for case in cases
            ]
    return {**run, **changed}


def _has_audit(case: Any) -> bool:
    if not isinstance(case, dict) or not isinstance(case.get("id"), str):
        return False
    return isinstance(case.get(AUDIT), (dict, str))
