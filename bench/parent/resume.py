"""Resumes an unfinished run: which cases are left, and whether this environment fits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from keras_loader_bench.bench.plan.case import Case
from keras_loader_bench.bench.record.footprint import died_of_budget
from keras_loader_bench.loaders.sources.image_source import ImageSource

_VOLATILE = ("backends", "load_average_1min", "swap_used_bytes")
"""Fields of the environment that may differ; `backends` are known once a framework was loaded."""


def read_unfinished(folder: Path) -> dict[str, Any]:
    """Read the `run.json` of a run that can be resumed.

    Raises:
        ValueError: there is none, or it does not say what was planned.
    """
    from keras_loader_bench.bench.record.reader import RunFileError, read_run

    try:
        run = read_run(folder)
    except RunFileError as error:
        raise ValueError(f"`--resume {folder}`: {error}") from None
    if not run.get("plan"):
        raise ValueError(
            f"`--resume {folder}`: its run.json has no list of planned cases, because it is "
            "older than `--resume`. Run the benchmark again."
        )
    return run


def planned_cases(run: Mapping[str, Any]) -> list[Case]:
    """Return all planned cases of a run."""
    names = {field.name for field in fields(Case)}
    return [Case(**{k: v for k, v in case.items() if k in names}) for case in run["plan"]]


def unfinished_cases(run: Mapping[str, Any]) -> list[Case]:
    """Return the planned cases that have no record or failed.

    Wrong batches that are known to be, and a death by the memory budget, are results. A case that
    was skipped is tried again: what was missing may be there now.

    Args:
        run: what `read_unfinished` returned.
    """
    done = {result["id"] for result in kept_records(run)}
    return [case for case in planned_cases(run) if str(case) not in done]


def kept_records(run: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the records to keep when a run is resumed."""
    return [result for result in run["cases"] if _is_result(result)]


def _is_result(result: Mapping[str, Any]) -> bool:
    known = result["outcome"] == "audit_failed" and result.get("known_failure")
    return result["outcome"] == "ok" or bool(known) or died_of_budget(result)


def check_same(run: Mapping[str, Any], environment: Mapping[str, Any], source: ImageSource) -> None:
    """Refuse to resume a run if its new figures would not be comparable with its old ones.

    Args:
        run: what `read_unfinished` returned.
        environment: see `bench.sensors.environment.describe`.
        source: the images.

    Raises:
        ValueError: the machine, its software or the images changed; the message says what.
    """
    before = run["environment"]
    for name in sorted((before.keys() | environment.keys()) - set(_VOLATILE)):
        if before.get(name) != environment.get(name):
            raise ValueError(
                f"`--resume`: `{name}` was {before.get(name)} and is {environment.get(name)}. "
                "A run must not mix environments; start a new run."
            )
    for known in run["sources"]:
        for name in ("name", "images_sha256", "labels_sha256"):
            if known.get(name) != getattr(source, name):
                raise ValueError(
                    f"`--resume`: `{name}` of the source was {known.get(name)} and is "
                    f"{getattr(source, name)}. Give the `--source` and `--data-dir` of that run."
                )
