"""Resumes an unfinished run: which cases are left, and whether this environment fits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path

from keras_loader_bench.bench.plan.case import Case
from keras_loader_bench.bench.plan.protocol import METHOD
from keras_loader_bench.bench.plan.remedies import NONE
from keras_loader_bench.bench.record.environment_record import Environment
from keras_loader_bench.bench.record.schema import SKIPPED, CaseRecord, Run
from keras_loader_bench.loaders.encoded.known_images import StoredSource

_VOLATILE = ("backends", "load_average_1min", "suite", "swap_used_bytes")
"""Fields of the environment that may differ; `backends` are known once a framework was loaded."""


def read_unfinished(folder: Path) -> Run:
    """Read the `run.json` of a run that can be resumed.

    Raises:
        ValueError: there is none, or it does not say what was planned.
    """
    from keras_loader_bench.bench.record.reader import RunFileError, read_run

    try:
        run = read_run(folder)
    except RunFileError as error:
        raise ValueError(f"`--resume {folder}`: {error}") from None
    if not run.plan:
        raise ValueError(
            f"`--resume {folder}`: its run.json has no list of planned cases, because it is "
            "older than `--resume`. Run the benchmark again."
        )
    return run


def unfinished_cases(run: Run) -> list[Case]:
    """Return the planned cases that have no record or failed.

    Wrong batches that are known to be, and a death by the memory budget, are results. A case that
    was skipped is tried again: what was missing may be there now.

    Args:
        run: what `read_unfinished` returned.
    """
    done = {result.id for result in kept_records(run) if not run.lacks_processes(result)}
    return [case for case in run.plan if str(case) not in done]


def kept_records(run: Run | None) -> list[CaseRecord]:
    """Return the records to keep when a run is resumed; of no run none.

    Of a case that was cut short, the processes that had ended: only the others are run.
    """
    if run is None:
        return []
    kept = []
    for result in run.cases:
        if run.lacks_processes(result):
            if result.ended_processes:
                kept.append(replace(result, processes=result.ended_processes))
        elif _is_result(result):
            kept.append(result)
    return kept


def _is_result(result: CaseRecord) -> bool:
    tried = result.case.remedy != NONE and result.outcome != SKIPPED
    return result.outcome == "ok" or result.failed_as_expected or result.died_of_budget or tried


def check_same(run: Run, environment: Environment, sources: Mapping[int, StoredSource]) -> None:
    """Refuse to resume a run if its new figures would not be comparable with its old ones.

    Args:
        run: what `read_unfinished` returned.
        environment: see `bench.sensors.environment.describe`.
        sources: the images, by quality as in `Case.image_quality`; empty: the run has none.

    Raises:
        ValueError: the machine, its software or the images changed; the message says what.
    """
    if run.method != METHOD:
        raise ValueError(
            f"`--resume`: the run was measured by method {run.method} of this suite, which has "
            f"method {METHOD} now. Start a new run."
        )
    for name in sorted({field.name for field in fields(Environment)} - set(_VOLATILE)):
        before, now = getattr(run.environment, name), getattr(environment, name)
        if before != now:
            raise ValueError(
                f"`--resume`: `{name}` was {before} and is {now}. "
                "Figures of different environments stand in different runs: start a new one."
            )
    for known in run.sources if sources else []:
        source = sources[known.image_quality]
        for name in ("name", "images_sha256", "labels_sha256"):
            if getattr(known, name) != getattr(source, name):
                raise ValueError(
                    f"`--resume`: `{name}` of the source was {getattr(known, name)} and is "
                    f"{getattr(source, name)}. Give the `--source` and `--data-dir` of that run."
                )
