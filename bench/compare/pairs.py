"""Pairs the cases of two runs, and finds what forbids or limits comparing them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from keras_loader_bench.bench.record.schema import CaseRecord, Run
from keras_loader_bench.bench.report.figures.audit_result import read_audit
from keras_loader_bench.bench.report.figures.endings import case_outcome

PROTOCOL = (
    *("round_seconds", "steady_round_seconds", "rounds"),
    *("new_interpreters", "launcher", "seed", "quick"),
)
"""What must be the same for processes to be alike; their number may differ."""

ENVIRONMENT = ("os", "cpu", "cores", "memory_bytes", "python")


@dataclass(frozen=True, kw_only=True)
class Pair:
    """One case as two runs measured it."""

    id: str
    before: CaseRecord
    after: CaseRecord
    refused: str | None
    """Why the two must not be compared; `None`: they may be."""

    @property
    def bench(self) -> str:
        """Which benchmark it belongs to."""
        return self.before.case.bench


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """The cases of two runs."""

    pairs: tuple[Pair, ...]
    only_before: tuple[str, ...]
    """Ids of cases that the second run does not have."""

    only_after: tuple[str, ...]
    flags: tuple[str, ...]
    """Differences between the runs that a reader has to know of, a sentence each."""


def pair_cases(before: Run, after: Run) -> Pairs:
    """Bring the cases of two runs together, by what was measured.

    Args:
        before: one run.
        after: the run that is compared with it.
    """
    old, new = ({case.id: case for case in run.compared_cases} for run in (before, after))
    refused = _incomparable(before, after)
    return Pairs(
        pairs=tuple(
            Pair(
                id=name,
                before=old[name],
                after=new[name],
                refused=refused or _unfit(old[name], new[name]),
            )
            for name in old
            if name in new
        ),
        only_before=tuple(name for name in old if name not in new),
        only_after=tuple(name for name in new if name not in old),
        flags=tuple(_flags(before, after)),
    )


def _incomparable(before: Run, after: Run) -> str | None:
    if before.method != after.method:
        return f"the runs used different methods ({before.method} and {after.method})"
    return None if _sources(before) == _sources(after) else "the runs had different sources"


def _sources(run: Run) -> set[tuple[Any, ...]]:
    names = ("images_sha256", "labels_sha256")
    return {tuple(getattr(source, name) for name in names) for source in run.sources}


def _unfit(before: CaseRecord, after: CaseRecord) -> str | None:
    for which, result in (("first", before), ("second", after)):
        if reason := unfit(result):
            return f"the {which} run's {reason}"
    digests = {audit.digest for result in (before, after) if (audit := read_audit(result))}
    return "the two runs audited different batches" if len(digests) > 1 else None


def unfit(result: CaseRecord) -> str | None:
    """Return why a case must not be compared with any other; `None` if it may be."""
    outcome = case_outcome(result)
    if outcome != "ok":
        return f"case ended as: {outcome.replace('_', ' ')}"
    return "batches are not proven identical" if read_audit(result) is None else None


def _flags(before: Run, after: Run) -> Iterator[str]:
    yield from differences(before, after)
    for which, run in (("first", before), ("second", after)):
        if run.status != "complete":
            yield f"the {which} run is not complete: {run.status}"


def differences(before: Run, after: Run, *, software: bool = True) -> Iterator[str]:
    """Say in what two runs are unlike: protocol, machine, source and, if wanted, software."""
    old_versions, new_versions = _versions(before), _versions(after)
    sides: Iterable[tuple[str, Mapping[str, Any], Mapping[str, Any], Iterable[str]]] = (
        ("protocol", vars(before.protocol), vars(after.protocol), PROTOCOL),
        ("machine", vars(before.environment), vars(after.environment), ENVIRONMENT),
        ("software", old_versions, new_versions, sorted(old_versions | new_versions)),
    )
    for title, old, new, names in sides:
        if title == "software" and not software:
            continue
        for name in names:
            if old.get(name) != new.get(name):
                yield f"{title}: {name.replace('_', ' ')} was {old.get(name)}, is {new.get(name)}"
    if before.method != after.method:
        yield f"method: was {before.method}, is {after.method}"
    if _sources(before) != _sources(after):
        yield "source: other images or labels"


def _versions(run: Run) -> dict[str, str]:
    environment = run.environment
    versions = {name: f"{b.version} on {b.device}" for name, b in environment.backends.items()}
    return {**environment.packages, **versions}
