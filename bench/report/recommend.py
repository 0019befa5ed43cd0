"""Decides which loader to recommend, by a rule that readers can check.

The rule, among the rows of one set of options: keep rows within the memory budget, if there is one,
whose batches are proven identical. Take those that no other one is proven faster than in training.
Of these, the smallest footprint wins, then the highest AU of feed if it is proven, then the
fewest dependencies, then the fewest workers. Rows that none of this tells apart are equals.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from keras_loader_bench.bench.record.schema import DEATHS, SKIPPED
from keras_loader_bench.bench.report import cells
from keras_loader_bench.bench.report.figures.machine_load import BUSY
from keras_loader_bench.bench.report.figures.memory_figures import SAME_FOOTPRINT_BYTES
from keras_loader_bench.bench.report.figures.rows import Row, not_skipped
from keras_loader_bench.bench.report.figures.throughput import Throughput
from keras_loader_bench.bench.report.ranking import (
    CASES,
    CaseOf,
    by_config,
    feed_case,
    ranked_utilizations,
    unbeaten,
)
from keras_loader_bench.bench.statistics import MIN_PROCESSES

SAME_FOOTPRINT = 0.10
"""Footprints that differ by less, or by less than `SAME_FOOTPRINT_BYTES`, count as the same."""

IMPOSSIBLE_UTILIZATION = 1.1
"""A loader cannot be faster than the ceiling: with a higher AU its rounds and those of the ceiling
were not measured under the same conditions."""


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """What the rule says of the rows of one set of options."""

    rows: tuple[Row, ...]
    """All of them."""

    row: Row | None
    """The one to use; `None`: the rule cannot tell."""

    equals: tuple[Row, ...] = ()
    """Other rows that are as good by every step of the rule."""

    decided_by: tuple[str, ...] = ()
    """The steps that told `row` and its equals from `tied`, in words: `the smallest footprint`."""

    doubt: str | None = None
    """Why the rule cannot tell although rows take part; `None`: it can, or none does."""

    bench: str = "train"
    """Whose AU decided: `train`, or `feed` where training was not measured."""

    tied: tuple[Row, ...] = ()
    """Other rows that none is proven faster than, without equals."""

    excluded: dict[str, list[str]] = field(default_factory=dict)
    """Why rows take no part -> their labels."""

    @property
    def case(self) -> Throughput | None:
        """The case of `row` whose AU decided."""
        return None if self.row is None else CASES[self.bench](self.row)


def recommend(rows: Sequence[Row]) -> list[Recommendation]:
    """Apply the rule to the rows of a run.

    Args:
        rows: the result of `rows_from_run`: sorted by options.

    Returns:
        One recommendation for each set of options of which anything was timed.
    """
    found = []
    for group in by_config(not_skipped(rows)):
        for bench, case in CASES.items():
            measured = filter(None, map(case, group))
            if any(each.outcome != SKIPPED for each in measured):
                found.append(_recommend(group, bench, case))
                break
    return found


def _recommend(group: Sequence[Row], bench: str, case: CaseOf) -> Recommendation:
    excluded: dict[str, list[str]] = {}
    fit = []
    for row in group:
        if reason := _unfit(row, bench, case):
            excluded.setdefault(reason, []).append(row.label)
        else:
            fit.append(row)
    utilizations = ranked_utilizations(fit, case)
    if not utilizations:
        return Recommendation(rows=tuple(group), row=None, bench=bench, excluded=excluded)
    fit = [row for row in fit if row.label in utilizations]
    top = max(fit, key=lambda row: utilizations[row.label].median)
    tied = unbeaten(fit, case)
    au = utilizations[top.label].median
    doubt = _busy(fit, case)
    if au > IMPOSSIBLE_UTILIZATION:
        doubt = f"{cells.code(top.label)} has an AU of {cells.fraction(au)}, above the ceiling"
    if doubt:
        return Recommendation(
            rows=tuple(group), row=None, bench=bench, excluded=excluded, doubt=doubt
        )
    chosen: Sequence[Row] = sorted(tied, key=lambda row: row.label)
    decided_by = []
    for step, keep in _STEPS.items():
        kept = keep(chosen)
        if len(kept) < len(chosen):
            decided_by.append(step)
            chosen = kept
    return Recommendation(
        rows=tuple(group),
        row=chosen[0],
        equals=tuple(chosen[1:]),
        decided_by=tuple(decided_by),
        bench=bench,
        tied=tuple(row for row in tied if row not in chosen),
        excluded=excluded,
    )


def _unfit(row: Row, bench: str, case: CaseOf) -> str | None:
    """Return why a row takes no part; `None` if it does."""
    measured = case(row)
    if row.memory is not None and row.memory.outcome in DEATHS and row.memory.enforcement:
        return "does not fit into the memory budget"
    if row.identical is False:
        return "batches are not identical"
    if row.identical is None:
        return "batches are not proven identical"
    if measured is None:
        return f"no {'training' if bench == 'train' else 'feeding'} was measured"
    if measured.outcome != "ok":
        return f"the case ended as: {cells.outcome(measured.outcome, measured.signal)}"
    rate_ = measured.rate
    if rate_ is None or rate_.low is None or measured.utilization is None:
        count = len(rate_.by_pass) or 1 if rate_ else 0
        return f"{count} process{'' if count == 1 else 'es'}, {MIN_PROCESSES} needed"
    return None


def _busy(rows: Sequence[Row], case: CaseOf) -> str | None:
    """Return why rows that were measured on a busy machine tell nothing; `None` if it was quiet."""
    shares = {row.label: measured.others for row in rows if (measured := case(row))}
    busy = [label for label, share in shares.items() if share > BUSY]
    if not busy:
        return None
    most = max(shares.values())
    names = cells.enumeration([cells.code(label) for label in busy])
    return f"other processes used up to {most:.0%} of the cores during the rounds of {names}"


def _smallest(rows: Sequence[Row]) -> Sequence[Row]:
    sizes = [size for row in rows if (size := row.footprint_bytes) is not None]
    if not sizes:
        return rows
    limit = same_footprint_limit(min(sizes))
    return [row for row in rows if (size := row.footprint_bytes) is not None and size <= limit]


def _feeding_best(rows: Sequence[Row]) -> Sequence[Row]:
    return unbeaten(rows, feed_case)


def _fewest_dependencies(rows: Sequence[Row]) -> Sequence[Row]:
    # Each backend is the package of that name.
    return _fewest(rows, lambda row: len(set(row.packages) - {row.backend}))


def _fewest_workers(rows: Sequence[Row]) -> Sequence[Row]:
    return _fewest(rows, lambda row: row.num_workers)


def _fewest(rows: Sequence[Row], count: Callable[[Row], int]) -> Sequence[Row]:
    least = min(map(count, rows))
    return [row for row in rows if count(row) == least]


_STEPS: Mapping[str, Callable[[Sequence[Row]], Sequence[Row]]] = {
    "the smallest footprint": _smallest,
    "the highest AU of feed": _feeding_best,
    "the fewest dependencies": _fewest_dependencies,
    "the fewest workers": _fewest_workers,
}
"""What decides among rows of equal AU, in this order: in words -> the rows that it keeps."""


def same_footprint_limit(smallest: int) -> float:
    """Return up to where a footprint in bytes counts as no larger than the smallest one."""
    return smallest + max(SAME_FOOTPRINT * abs(smallest), SAME_FOOTPRINT_BYTES)
