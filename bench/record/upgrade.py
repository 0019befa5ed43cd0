"""Older schemas of `run.json`, brought to the newest one, so that the rest knows one only.

Must not know: what is derived from a run, or how it is shown.
"""

from __future__ import annotations

from typing import Any

from keras_loader_bench.bench.plan.options import CASE_OPTIONS
from keras_loader_bench.bench.record.schema import DIFFERENT, IDENTICAL, SCHEMA

_CASE_DEFAULTS = {name: each.default for name, each in CASE_OPTIONS.items() if each.since > 1}


def upgrade(run: dict[str, Any]) -> dict[str, Any]:
    """Return an older run as one of this schema.

    Schema 1 knew of an audit only whether the batches of `fit` were identical. Schema 2 knew no
    probes. What else is new in 3, 4 and 5 is optional.

    Args:
        run: the decoded content of `run.json`; what lacks its form is left to whoever checks it.
    """
    if run["schema"] >= SCHEMA:
        return run
    lists = {"cases": run.get("cases"), "probes": run.get("probes", [])}
    upgraded = {
        name: [_result(result) for result in results] if isinstance(results, list) else results
        for name, results in lists.items()
    }
    return {**run, "schema": SCHEMA, **upgraded}


def _result(result: Any) -> Any:
    if not isinstance(result, dict):
        return result
    upgraded = dict(result)
    if isinstance(case := result.get("case"), dict):
        upgraded["case"] = {**_CASE_DEFAULTS, **case}
    if isinstance(audit := result.get("audit"), dict) and audit:
        verdict = IDENTICAL if audit.get("identical") is True else DIFFERENT
        known = {"identical": False, "verdict": verdict, "passes": []}
        upgraded["audit"] = {**known, **audit}
    return upgraded
