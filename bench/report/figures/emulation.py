"""Finds the shortest emulated step that each loader keeps busy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from keras_loader_bench.bench.report.figures.rows import Row
from keras_loader_bench.bench.report.figures.throughput import Throughput

BUSY_AU = 0.9
"""From this utilization on an accelerator counts as kept busy."""


@dataclass(frozen=True, kw_only=True)
class Emulation:
    """One row with one kind of emulated step."""

    row: Row
    busy: bool
    """Whether the step keeps a core busy instead of sleeping."""

    steps: Mapping[float, Throughput]
    """Milliseconds of a step -> its case, ascending; also those that ended badly."""

    @property
    def measured(self) -> dict[float, Throughput]:
        """The cases that may be compared."""
        return {
            step: case
            for step, case in self.steps.items()
            if self.row.may_be_ranked(case) and case.utilization is not None
        }

    @property
    def shortest_step(self) -> float | None:
        """The shortest step, in ms, that is kept busy, as is every longer one that was measured.

        By medians of AU. `None`: not even the longest is.
        """
        shortest = None
        for step, case in sorted(self.measured.items(), reverse=True):
            if case.utilization is None or case.utilization.median < BUSY_AU:
                break
            shortest = step
        return shortest


def emulations(rows: Iterable[Row]) -> list[Emulation]:
    """Return what was measured with an emulated accelerator, in the order of the rows.

    Steps that sleep come first, then those that keep a core busy.
    """
    found = []
    rows = list(rows)
    for busy in (False, True):
        for row in rows:
            steps = {step.step_ms: step.case for step in row.emulated if step.busy is busy}
            if steps:
                found.append(Emulation(row=row, busy=busy, steps=steps))
    return found
