"""Decides which loader to recommend, by a rule that readers can check.

The rule, among the rows of one set of options: keep rows within the memory budget, if there is one,
whose batches are proven identical. Take the highest AU of training and all rows that are not proven
slower. Of these, the smallest footprint wins, then the fewest dependencies.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from keras_loader_bench.bench.record.schema import DEATHS
from keras_loader_bench.bench.report import cells
from keras_loader_bench.bench.report.figures import Throughput
from keras_loader_bench.bench.report.ranking import (
    CASES,
    CaseOf,
    apart,
    by_config,
    ranked_utilizations,
)
from keras_loader_bench.bench.report.rows import Row, not_skipped
from keras_loader_bench.bench.statistics import MIN_ROUNDS, Estimate

SAME_FOOTPRINT = 0.10
"""Footprints that differ by less, or by less than `SAME_FOOTPRINT_BYTES`, count as the same."""

SAME_FOOTPRINT_BYTES = 2**20
"""What an allocator keeps or gives back from one run to the next: about a batch of float32."""


@dataclass(frozen=True, kw_only=True)
class Recommendation:
    """What the rule says of the rows of one set of options."""

    rows: tuple[Row, ...]
    """All of them."""

    row: Row | None
    """The one to use; `None`: the rule cannot tell."""

    bench: str = "train"
    """Whose AU decided: `train`, or `feed` where training was not measured."""

    tied: tuple[Row, ...] = ()
    """Other rows whose AU is not proven lower."""

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
            if any(case(row) for row in group):
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
    tied = [row for row in fit if row is top or not apart(fit, case, top.label, row.label)]
    chosen = _smallest(tied, utilizations)
    return Recommendation(
        rows=tuple(group),
        row=chosen,
        bench=bench,
        tied=tuple(row for row in tied if row is not chosen),
        excluded=excluded,
    )


def _unfit(row: Row, bench: str, case: CaseOf) -> str | None:
    """Return why a row takes no part; `None` if it does."""
    measured = case(row)
    if row.memory is not None and row.memory.outcome in DEATHS and row.memory.enforcement:
        return "does not fit into the memory budget"
    if row.identical is False:
        return "its batches are not identical"
    if row.identical is None:
        return "its batches are not proven identical"
    if measured is None:
        return f"no {'training' if bench == 'train' else 'feeding'} was measured"
    if measured.outcome != "ok":
        return f"its case ended as: {cells.outcome(measured.outcome, measured.signal)}"
    rate_ = measured.rate
    if rate_ is None or rate_.low is None or measured.utilization is None:
        return f"fewer than {MIN_ROUNDS} rounds"
    return None


def _smallest(tied: Sequence[Row], utilizations: dict[str, Estimate]) -> Row:
    """Choose among rows of equal AU: by footprint, then dependencies, then workers and AU."""
    sizes = [size for row in tied if (size := row.footprint_bytes) is not None]
    if sizes:
        limit = same_footprint_limit(min(sizes))
        tied = [row for row in tied if (size := row.footprint_bytes) is not None and size <= limit]
    return min(
        tied,
        key=lambda row: (
            len(set(row.packages) - {row.backend}),  # each backend is the package of that name
            row.num_workers,
            -utilizations[row.label].median,
            row.label,
        ),
    )


def same_footprint_limit(smallest: int) -> float:
    """Return up to where a footprint in bytes counts as no larger than the smallest one."""
    return smallest + max(SAME_FOOTPRINT * abs(smallest), SAME_FOOTPRINT_BYTES)
