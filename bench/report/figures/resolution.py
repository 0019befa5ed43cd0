"""The resolution of a run: how well it can tell the ceiling from itself.

The ceiling is measured as if it were a loader. It is the same code as the ceiling beside it, so its
AU is 1, and how far the interval reaches around 1 is what noise alone does to a figure of this run.
Where a user's input is measured, the ceiling's own rounds of each process are compared instead.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import cycle

from keras_loader_bench.bench.plan.case import Case
from keras_loader_bench.bench.record.schema import CaseRecord, Run
from keras_loader_bench.bench.report.figures.throughput import read_throughput
from keras_loader_bench.bench.statistics import Estimate

BENCH_NAMES = {"feed": "feed", "train": "training"}


@dataclass(frozen=True, kw_only=True)
class Resolution:
    """The ceiling against itself, in one benchmark with one set of options."""

    case: Case
    utilization: Estimate

    @property
    def reach(self) -> float | None:
        """How far the interval of AU reaches from 1, as a fraction; `None`: there is none."""
        low, high = self.utilization.low, self.utilization.high
        if low is None or high is None or low <= 0:
            return None
        return max(1 / low, high) - 1

    @property
    def sound(self) -> bool:
        """Whether 1 is in the interval, as far as there is one."""
        low, high = self.utilization.low, self.utilization.high
        return low is None or high is None or low <= 1 <= high


def resolutions(run: Run) -> list[Resolution]:
    """Return the resolution of each benchmark and set of options of which there is one."""
    found = []
    for result in run.ceiling_cases:
        figures = read_throughput(result)
        if figures is not None and figures.utilization is not None:
            found.append(Resolution(case=result.case, utilization=figures.utilization))
    for result in run.compared_cases:
        if result.case.is_input and (utilization := _against_itself(result)):
            found.append(Resolution(case=result.case, utilization=utilization))
    return sorted(found, key=lambda each: str(each.case))


_SIDES = (1, -1, -1, 1)
"""Of each four rounds of the ceiling, against each other: a steady drift adds nothing, and each
side has one round before its loader's and one after it."""


def _against_itself(result: CaseRecord) -> Estimate | None:
    """Return the ratio of a case's ceiling rounds to each other; `None`: too few rounds."""
    ratios = {}
    for process in result.processes:
        seconds = [each.ceiling_seconds for each in process.rounds if each.ceiling_seconds]
        fours = seconds[: len(seconds) // 4 * 4]
        logs = [side * math.log(each) for side, each in zip(cycle(_SIDES), fours, strict=False)]
        if logs:
            ratios[process.number] = [math.exp(sum(logs) / (len(logs) / 2))]
    return Estimate.from_processes(ratios)
