"""Reading `run.json`: what a report may rely on, checked once and before anything is written.

Must not know: what is derived from a run, or how it is shown.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from keras_loader_bench.bench.plan.options import CASE_OPTIONS
from keras_loader_bench.bench.record.schema import SCHEMA
from keras_loader_bench.bench.record.upgrade import upgrade

_NUMBER = (int, float)
_NONE = type(None)

_RUN = {
    "status": str,
    "environment": dict,
    "protocol": dict,
    "sources": list,
    "cases": list,
    "probes": list,
}
_RESULT = {"id": str, "case": dict, "outcome": str}
_TYPES: dict[type, Any] = {float: (*_NUMBER, _NONE)}
_CASE: dict[str, Any] = {
    **{name: _TYPES.get(each.kind, each.kind) for name, each in CASE_OPTIONS.items()},
    "bench": str,
}

_OPTIONAL: dict[str, Any] = {
    "loaders": (list, _NONE),
    "plan": (list, _NONE),
    "planned_cases": (int, _NONE),
}
_ENVIRONMENT = {
    "backends": (dict, _NONE),
    "card": (dict, _NONE),
    "cores": (int, _NONE),
    "cpu_quota_cores": (*_NUMBER, _NONE),
    "load_average_1min": (*_NUMBER, _NONE),
    "memory_bytes": (*_NUMBER, _NONE),
    "packages": (dict, _NONE),
    "swap_used_bytes": (int, _NONE),
}
_PARTS = {  # what a killed or interrupted case may lack
    "audit": (dict, _NONE),
    "card": (dict, _NONE),
    "device": (str, _NONE),
    "device_memory": (dict, _NONE),
    "error": (dict, _NONE),
    "known_failure": (dict, _NONE),
    "memory": (dict, _NONE),
    "packages": (list, _NONE),
    "rounds": (list, _NONE),
    "time_to_first_batch_s": (list, _NONE),
    "epoch_boundary_s": (list, _NONE),
    "swapped_bytes": (int, _NONE),
}
_AUDIT = {"identical": bool, "verdict": str, "passes": list}
_PASS = {
    "name": str,
    "verdict": str,
    "batches": int,
    "expected_batches": int,
    "samples": int,
    "expected_samples": int,
    "missing_batches": list,
    "repeated_batches": list,
    "missing_samples": int,
    "repeated_samples": int,
}
_PASS_OPTIONAL = {
    "compared": (str, _NONE),
    "max_ulps": (int, _NONE),
    "difference": (str, _NONE),
}
_KNOWN_FAILURE = {"reason": str, "link": str}
_MEMORY_OPTIONAL = {
    "metric": (str, _NONE),
    "processes": (list, _NONE),
    "phases": (list, _NONE),
    "budget_bytes": (int, _NONE),
    "enforcement": (str, _NONE),
}
_DEVICE_MEMORY_OPTIONAL = {
    "peak_device_bytes": (int, _NONE),
    "device_bytes_in_use": (int, _NONE),
    "pinned_peak_bytes": (int, _NONE),
    "reason": (str, _NONE),
}
_CARD_OPTIONAL = {
    "reason": (str, _NONE),
    "idle": (dict, _NONE),
    "readings": (list, _NONE),
    "other_processes": (int, _NONE),
    "missing": (dict, _NONE),
}
_CARD_READING_OPTIONAL = {
    "memory_used_bytes": (*_NUMBER, _NONE),
    "utilization": (*_NUMBER, _NONE),
    "power_w": (*_NUMBER, _NONE),
    "sm_clock_hz": (*_NUMBER, _NONE),
    "throttle": (list, _NONE),
}
_PROCESS = {"sampled_peak_rss": _NUMBER, "kernel_peak_rss": (*_NUMBER, _NONE)}
_PHASE = {"name": str, "t": _NUMBER}
_READING = {"anon": _NUMBER, "file": _NUMBER, "shmem": _NUMBER}


class RunFileError(ValueError):
    """`run.json` cannot be used; the message is one line and names a remedy."""


def read_run(folder: Path) -> dict[str, Any]:
    """Read the raw values of a run.

    Args:
        folder: the folder that holds `run.json`.

    Returns:
        The content of `run.json`, of a form that every part of a report can read.

    Raises:
        RunFileError: the file is missing, not valid or of a newer schema.
    """
    path = folder / "run.json"
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        remedy = "Name a folder of results/, or make one with `pytest bench/ --benchmark-only`."
        raise RunFileError(f"`{path}` does not exist. {remedy}") from None
    except (OSError, ValueError, RecursionError) as error:
        remedy = "Restore it or run the benchmark again."
        raise RunFileError(f"`{path}` cannot be read as JSON: {error}. {remedy}") from error
    try:
        _check_schema(run)
        run = upgrade(run)
        check_run(run)
    except RunFileError as error:
        raise RunFileError(f"`{path}`: {error}") from None
    return dict(run)


def _check_schema(run: Any) -> None:
    if not isinstance(run, dict) or not isinstance(run.get("schema"), int):
        raise RunFileError("no `schema`: this is not a run of this suite. Name another folder.")
    if run["schema"] > SCHEMA:
        raise RunFileError(
            f"schema {run['schema']} is newer than {SCHEMA}, the newest that this version reads. "
            "Upgrade keras-loader-bench and try again."
        )


def check_run(run: Any) -> None:
    """Check that a run has the form of this schema, however much of it is still missing.

    Args:
        run: the decoded content of `run.json`.

    Raises:
        RunFileError: it has not; the message names the first field that is wrong.
    """
    _check_schema(run)
    _check(run, _RUN, "")
    _check_optional(run, _OPTIONAL, "")
    _check_optional(run["environment"], _ENVIRONMENT, "environment.")
    for name, backend in (run["environment"].get("backends") or {}).items():
        _check(backend, {}, f"environment.backends.{name}")
    for number, source in enumerate(run["sources"]):
        _check(source, {"name": str, "num_samples": int}, f"sources[{number}].")
    for kind in ("cases", "probes"):
        for number, result in enumerate(run[kind]):
            _check_result(result, f"{kind}[{number}].")


def _check_result(result: Any, where: str) -> None:
    _check(result, _RESULT, where)
    _check(result["case"], _CASE, f"{where}case.")
    _check_optional(result, _PARTS, where)
    if audit := result.get("audit"):
        _check_audit(audit, f"{where}audit.")
    if known := result.get("known_failure"):
        _check(known, _KNOWN_FAILURE, f"{where}known_failure.")
    if device_memory := result.get("device_memory"):
        _check_optional(device_memory, _DEVICE_MEMORY_OPTIONAL, f"{where}device_memory.")
    if card := result.get("card"):
        _check_card(card, f"{where}card.")
    for number, measured in enumerate(result.get("rounds") or []):
        _check(measured, {}, f"{where}rounds[{number}].")
    if memory := result.get("memory"):
        _check(memory, {"readings": list}, f"{where}memory.")
        if memory.get("baseline") is not None:
            _check(memory["baseline"], _READING, f"{where}memory.baseline.")
        _check_optional(memory, _MEMORY_OPTIONAL, f"{where}memory.")
        parts: dict[str, dict[str, Any]] = {
            "readings": {**_READING, "phase": str},
            "processes": _PROCESS,
            "phases": _PHASE,
        }
        for name, fields in parts.items():
            for number, part in enumerate(memory.get(name) or []):
                _check(part, fields, f"{where}memory.{name}[{number}].")


def _check_audit(audit: Any, where: str) -> None:
    _check(audit, _AUDIT, where)
    for number, each in enumerate(audit["passes"]):
        name = f"{where}passes[{number}]."
        _check(each, _PASS, name)
        _check_optional(each, _PASS_OPTIONAL, name)
        for batches in ("missing_batches", "repeated_batches"):
            for position, batch in enumerate(each[batches]):
                _check({"index": batch}, {"index": int}, f"{name}{batches}[{position}].")


def _check_optional(value: Mapping[str, Any], fields: Mapping[str, Any], where: str) -> None:
    _check({**dict.fromkeys(fields), **value}, fields, where)


def _check_card(card: Any, where: str) -> None:
    _check_optional(card, _CARD_OPTIONAL, where)
    _check_optional(card.get("idle") or {}, _CARD_READING_OPTIONAL, f"{where}idle.")
    for number, reading in enumerate(card.get("readings") or []):
        _check(reading, {"t": _NUMBER}, f"{where}readings[{number}].")
        _check_optional(reading, _CARD_READING_OPTIONAL, f"{where}readings[{number}].")


def _check(value: object, fields: Mapping[str, Any], where: str) -> None:
    """Raise unless `value` is a mapping that has all `fields` with the types given."""
    if not isinstance(value, dict):
        raise RunFileError(_complaint(where.rstrip("."), "an object", value))
    for name, kind in fields.items():
        if not isinstance(value.get(name), kind):
            kinds = kind if isinstance(kind, tuple) else (kind,)
            wanted = " or ".join(kind.__name__ for kind in kinds)
            raise RunFileError(_complaint(f"{where}{name}", wanted, value.get(name)))


def _complaint(where: str, wanted: str, value: object) -> str:
    got = type(value).__name__
    return f"`{where}` must be {wanted}, got {got}. Restore the file or run the benchmark again."
