"""Memory against samples: memory per sample, and the limit under a budget."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keras_loader_bench.bench.plan.options import COMPARED
from keras_loader_bench.bench.record.footprint import bracket
from keras_loader_bench.bench.record.schema import DEATHS, Run
from keras_loader_bench.bench.report.figures.memory_figures import (
    SAME_FOOTPRINT_BYTES,
    Memory,
    read_memory,
)
from keras_loader_bench.bench.report.figures.row_options import describe, differing
from keras_loader_bench.bench.report.figures.rows import Row
from keras_loader_bench.bench.slope import Slope

BOUNDED_WITHIN = 0.10
"""A footprint that changes by less, from the smallest size to the largest, does not grow."""

MIN_RANGE = 1.2
"""Largest size / smallest size from which on a line says more than noise."""


@dataclass(frozen=True, kw_only=True)
class Scaling:
    """One loader with its workers and options, over numbers of samples."""

    row: Row
    """Any of its rows: backend, loader, workers, batch size, pixels."""

    sizes: Mapping[int, Memory]
    """Samples -> the case; those of the plan."""

    probes: Mapping[int, Memory]
    """Samples -> the case; those that looked for the breaking point."""

    @property
    def lived(self) -> dict[int, int]:
        """Samples -> footprint in bytes, where the case ended well, ascending."""
        return {
            samples: memory.footprint_bytes
            for samples, memory in self._all()
            if memory.outcome == "ok" and memory.footprint_bytes is not None
        }

    @property
    def died(self) -> dict[int, Memory]:
        """Samples -> the case that died of its budget, ascending."""
        return {
            samples: memory
            for samples, memory in self._all()
            if memory.outcome in DEATHS and memory.enforcement is not None
        }

    @property
    def bracket(self) -> tuple[int, int] | None:
        """The largest size that lived below the smallest that died, 0 if none, and that one."""
        survived, died = bracket(self.lived, self.died)
        return None if died is None else (survived, died)

    @property
    def budget_bytes(self) -> int | None:
        """What every case was allowed over its baseline."""
        return next((memory.budget_bytes for _, memory in self._all()), None)

    @property
    def enforcement(self) -> str | None:
        """What kept the budget."""
        found = [memory.enforcement for _, memory in self._all() if memory.enforcement]
        return found[0] if found else None

    @property
    def metric(self) -> str:
        """What was read."""
        return next(memory.metric for _, memory in self._all())

    @property
    def line(self) -> Slope | None:
        """Footprint against samples, in bytes; `None` if the sizes are too similar."""
        lived = self.lived
        if not lived or max(lived) < MIN_RANGE * min(lived):
            return None
        return Slope.through(lived.items())

    @property
    def bounded(self) -> bool:
        """Whether the footprint does not grow with the samples, as far as the cases can tell.

        By the line it changes by less than `BOUNDED_WITHIN`; or by little memory, with a slope that
        is not surely above 0. That alone would be true of any footprint at three sizes.
        """
        line, change = self.line, self._change
        if line is None or change is None:
            return False
        level = line.low is not None and line.low <= 0
        largest = max(self.lived.values())
        return change < max(BOUNDED_WITHIN * largest, SAME_FOOTPRINT_BYTES if level else 0)

    @property
    def grows_little(self) -> bool:
        """Whether it does grow, but by little memory from the smallest size to the largest.

        Such a line is not continued to sizes that would fill a machine.
        """
        change = self._change
        return change is not None and not self.bounded and change < SAME_FOOTPRINT_BYTES

    @property
    def _change(self) -> float | None:
        """By how many bytes the line changes over the sizes; `None` without one or with deaths."""
        line, lived = self.line, self.lived
        return None if line is None or self.died else line.value * (max(lived) - min(lived))

    @property
    def predicted_break(self) -> int | None:
        """Samples at which the line reaches the budget; `None` without one or much growth."""
        return None if self.budget_bytes is None else self._samples_in(self.budget_bytes)

    def capacity(self, memory_bytes: int) -> int | None:
        """Return how many samples so much memory would hold, baseline included.

        Returns:
            Samples; `None` if the footprint does not grow, or by little.
        """
        baselines = [m.baseline_bytes for _, m in self._all() if m.baseline_bytes is not None]
        return self._samples_in(memory_bytes - max(baselines, default=0))

    def _samples_in(self, count: int) -> int | None:
        line = self.line
        if line is None or self.bounded or self.grows_little:
            return None
        reached = line.reaches(count)
        return None if reached is None else max(0, int(reached))

    def _all(self) -> list[tuple[int, Memory]]:
        return sorted({**self.probes, **self.sizes}.items())


def scalings(run: Run, rows: Iterable[Row]) -> list[Scaling]:
    """Return a line for each loader, its workers and options that was tried at several sizes.

    Args:
        run: what `read_run` returned.
        rows: what `rows_from_run` made of it. One whose batches are wrong is left out.
    """
    probes: defaultdict[tuple[Any, ...], dict[int, Memory]] = defaultdict(dict)
    for result in run.probes:
        case, memory = result.case, read_memory(result)
        if memory is not None:
            probes[tuple(getattr(case, name) for name in _KEY)][case.samples] = memory
    grouped: defaultdict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        if row.memory is not None and row.identical is not False:
            grouped[tuple(getattr(row, name) for name in _KEY)].append(row)
    found = [_scaling(group, probes[key]) for key, group in grouped.items()]
    return [each for each in found if len(each.lived.keys() | each.died.keys()) > 1]


_KEY = (*(name for name in COMPARED if name != "samples"), "loader", "num_workers")


def _scaling(rows: Sequence[Row], probes: Mapping[int, Memory]) -> Scaling:
    sizes = {row.samples: row.memory for row in rows if row.memory is not None}
    metric = next(iter(sizes.values())).metric  # figures of another one are no part of a line
    return Scaling(
        row=rows[0],
        sizes={samples: memory for samples, memory in sizes.items() if memory.metric == metric},
        probes={samples: memory for samples, memory in probes.items() if memory.metric == metric},
    )


def differing_options(lines: Iterable[Scaling]) -> list[str]:
    """Return the options in which lines are not all the same; samples are none of them here."""
    return [name for name in differing(line.row for line in lines) if name != "samples"]


def by_options(lines: Sequence[Scaling]) -> dict[str, list[Scaling]]:
    """Return lines that may be compared, under the options that tell them from the others."""
    names = differing_options(lines)
    groups: defaultdict[str, list[Scaling]] = defaultdict(list)
    for line in lines:
        groups[describe(line.row, names)].append(line)
    return dict(groups)
