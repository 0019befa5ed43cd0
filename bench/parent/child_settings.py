"""What the process of a case is told when it begins; see `bench.child.__main__`."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

from keras_loader_bench.bench.plan.case import Case
from keras_loader_bench.bench.plan.remedies import NONE, REMEDIES, not_applicable
from keras_loader_bench.bench.record.input_record import InputRecord
from keras_loader_bench.bench.record.schema import SKIPPED, CaseRecord, Run
from keras_loader_bench.loaders.encoded.known_images import StoredSource
from keras_loader_bench.loaders.registry import import_name, missing_package


def child_settings(record: CaseRecord, source: StoredSource | None, *, seed: int) -> dict[str, Any]:
    """Return the keyword arguments of `bench.child.worker.Worker`, or of `InputWorker`.

    Args:
        record: of the case.
        source: the images; `None` for a user's input.
        seed: of orders and models.
    """
    case = record.case
    common = {"case": asdict(case), "seed": seed}
    if source is None or case.is_input:
        # What an input imports is not known; torch must come before TensorFlow.
        torch = () if missing_package(("torch",)) else ("torch",)
        return {**common, "about": record.input and asdict(record.input), "imports": torch}
    return {
        **common,
        "source": str(source.folder.resolve()),
        "samples": case.samples,
        "imports": tuple(map(import_name, case.entry.packages)),
    }


def known_input(run: Run, case: Case) -> InputRecord | None:
    """Return what another case of the run has found out about a case's input; `None`: nothing.

    With a remedy that joins batches it is another input.
    """
    cases = (each for each in run.cases if _same(each.case, case))
    found = (each.input for each in cases if _joins(each.case) == _joins(case))
    return next(filter(None, found), None)


def not_tried(run: Run, case: Case) -> str | None:
    """Return why the case of an input is not tried; `None`: it is, or it is that of a loader.

    A remedy may not apply. And where the first case could find nothing out about the input, or
    `fit` does not take it, all others would fail in the same way.
    """
    if not case.is_input:
        return None
    about = known_input(run, replace(case, remedy=NONE))
    failures = _failures(run, case)
    if failures & REFUSALS or (failures and about is None):
        return f"`fit` cannot be given `{case.loader}`: its feed case has failed"
    if case.remedy == NONE:
        return None
    if about is None:
        return f"nothing is known of `{case.loader}`: its feed case was not run"
    return not_applicable(
        case.remedy,
        kind=about.kind,
        steps=case.steps,
        batches=about.batches,
        seconds=(about.batches or 0) * about.seconds_per_batch,
        promise=known_promise(run, case),
        narrow=about.narrow,
    )


def known_promise(run: Run, case: Case) -> str | None:
    """Return what the audit of a case's input as it is has found out; `None`: there is none."""
    own = (each for each in run.cases if _same(each.case, case) and each.case.remedy == NONE)
    return next((each.audit.promise for each in own if each.audit), None)


REFUSALS = {"TargetError", "BatchError"}
"""Types of the errors that say that `fit` does not take an input."""


def _failures(run: Run, case: Case) -> set[str | None]:
    """Return the type of the error of the feed case of a case's input, where that has failed."""
    same = (each for each in run.cases if _same(each.case, case) and each.case != case)
    feed = (each for each in same if each.case.bench == "feed" and each.case.remedy == NONE)
    return {each.error.type for each in feed if each.error and each.outcome != SKIPPED}


def _joins(case: Case) -> bool:
    return case.remedy != NONE and REMEDIES[case.remedy].joins


def _same(one: Case, other: Case) -> bool:
    return all(getattr(one, n) == getattr(other, n) for n in ("loader", "backend", "steps"))
