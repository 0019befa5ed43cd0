"""Says how well a run can tell the ceiling from itself, and warns where it cannot."""

from __future__ import annotations

from collections.abc import Iterable

from keras_loader_bench.bench.record.schema import Run
from keras_loader_bench.bench.report import cells
from keras_loader_bench.bench.report.figures.resolution import (
    BENCH_NAMES,
    Resolution,
    resolutions,
)
from keras_loader_bench.bench.report.figures.row_options import describe


def resolution_warnings(run: Run) -> list[cells.Markdown]:
    """Say where the ceiling's AU against itself is not 1 within its interval."""
    unsound = [cells.code(str(each.case)) for each in resolutions(run) if not each.sound]
    if not unsound:
        return []
    return [
        cells.Markdown(
            f"**The ceiling differs from itself** in {cells.enumeration(unsound)}. Trust no small "
            "difference of this run; measure again on a quiet machine."
        )
    ]


def resolution_table(found: Iterable[Resolution]) -> list[list[str]]:
    """Return the table of a report: headings, then a line for each resolution."""
    lines = [
        [
            describe(each.case, without=["samples"]),
            BENCH_NAMES[each.case.bench],
            cells.interval(each.utilization, cells.fraction),
            cells.NOT_RUN if each.reach is None else f"{each.reach:.0%}",
        ]
        for each in found
    ]
    return [["options", "model", "AU of the ceiling against itself", "resolution"], *lines]
