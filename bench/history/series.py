"""Collects the results of each case over many runs, and finds the runs where it changed.

A change is what `bench.compare` calls faster or slower: both rate and AU differ. A run is compared
with the rounds of the runs since the last change. A change counts if the next run confirms it, so
that one slow day is not a change, and the last run can only show a possible one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from keras_loader_bench.bench.compare.change import FASTER, SLOWER, Change, judge
from keras_loader_bench.bench.compare.pairs import Pair, differences, unfit
from keras_loader_bench.bench.plan.case import Case
from keras_loader_bench.bench.record.schema import CaseRecord, Run
from keras_loader_bench.bench.report.figures.throughput import Throughput, read_throughput

POOLED_RUNS = 3
"""Runs before a change whose rounds are compared with those after it: the last ones."""

MIN_CHANGE = 0.05
"""A change of the rate below this is not marked, however sure it is."""

CHANGED, POSSIBLE = "changed", "possible"


@dataclass(frozen=True, kw_only=True)
class NamedRun:
    """One run of a history."""

    name: str
    """Of its folder."""

    run: Run

    @property
    def started(self) -> str:
        """When it began: ISO 8601 in UTC, which sorts by time."""
        return self.run.started_utc or ""


@dataclass(frozen=True, kw_only=True)
class ChangePoint:
    """A run in which a case became faster or slower."""

    position: int
    """Which point of its series it is, from 0."""

    change: Change
    """This run against those before it."""

    certainty: str
    """`CHANGED`: the next run confirms it; `POSSIBLE`: it is the last one."""

    circumstances: tuple[str, ...]
    """What else was unlike in the run before it and in this one: versions, protocol."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """One case over the runs that measured it well."""

    id: str
    case: Case
    runs: tuple[NamedRun, ...]
    results: tuple[CaseRecord, ...]
    changes: tuple[ChangePoint, ...]

    @property
    def figures(self) -> list[Throughput]:
        """The figures of each run."""
        return [figure for result in self.results if (figure := read_throughput(result))]


@dataclass(frozen=True, kw_only=True)
class History:
    """The runs of one machine and source, and the series of their cases."""

    runs: tuple[NamedRun, ...]
    """By the time at which they began."""

    left_out: Mapping[str, str]
    """Runs that cannot be compared with the last one, with the reason."""

    series: tuple[Series, ...]


def read_history(runs: Iterable[NamedRun]) -> History:
    """Bring the runs together that may be compared with the last one.

    Args:
        runs: at least one, in any order.
    """
    ordered = sorted(runs, key=lambda each: (each.started, each.name))
    last = ordered[-1].run
    left_out: dict[str, str] = {}
    kept = []
    for each in ordered:
        unlike = list(differences(each.run, last, software=False))
        if unlike:
            left_out[each.name] = "; ".join(unlike)
        else:
            kept.append(each)
    ids = dict.fromkeys(
        result.id
        for each in kept
        for result in each.run.compared_cases
        if result.case.bench != "memory"
    )
    series = tuple(found for name in ids if (found := _series(name, kept)))
    return History(runs=tuple(kept), left_out=left_out, series=series)


def _series(name: str, runs: Sequence[NamedRun]) -> Series | None:
    good = []
    for each in runs:
        result = next((r for r in each.run.cases if r.id == name), None)
        if result is not None and unfit(result) is None:
            good.append((each, result))
    if not good:
        return None
    named, results = zip(*good, strict=True)
    return Series(
        id=name,
        case=results[-1].case,
        runs=named,
        results=results,
        changes=tuple(_changes(named, results)),
    )


def _changes(runs: Sequence[NamedRun], results: Sequence[CaseRecord]) -> list[ChangePoint]:
    found: list[ChangePoint] = []
    start = 0
    for position in range(1, len(results)):
        before = results[max(start, position - POOLED_RUNS) : position]
        change = _change(before, results[position])
        if change is None:
            continue
        certainty = POSSIBLE
        if position + 1 < len(results):
            again = _change(before, results[position + 1])
            if again is None or again.verdict != change.verdict:
                continue
            certainty = CHANGED
        found.append(
            ChangePoint(
                position=position,
                change=change,
                certainty=certainty,
                circumstances=tuple(differences(runs[position - 1].run, runs[position].run)),
            )
        )
        start = position
    return found


def _change(before: Sequence[CaseRecord], after: CaseRecord) -> Change | None:
    """Compare a result with the rounds of several; `None` if it is no clear change."""
    pooled = replace(before[-1], processes=[each for result in before for each in result.processes])
    change = judge(Pair(id=after.id, before=pooled, after=after, refused=None))
    clear = change.verdict in (FASTER, SLOWER)
    return change if clear and change.rate and abs(change.rate.value - 1) >= MIN_CHANGE else None
