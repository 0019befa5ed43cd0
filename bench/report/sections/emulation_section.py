"""The section of a report on the emulated accelerator: tables and findings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby

from keras_loader_bench.bench.report import cells
from keras_loader_bench.bench.report.figures.emulation import BUSY_AU, Emulation
from keras_loader_bench.bench.report.figures.row_options import HEADINGS, describe, differing, value
from keras_loader_bench.bench.report.sections.table import Table

SHORTEST = f"shortest step kept busy (AU {BUSY_AU:g}, ms)"

LIMITS = (
    "A step waits in the training thread: loaders with threads or processes of their own go on "
    "meanwhile, and loaders that prepare batches in the training thread do not. A real accelerator "
    "works in parallel with it, so a loader without workers may do slightly better on one. "
    "Nothing competes for the bus, and on a CPU no batch is copied to a device."
)
SLEEPING = "The step sleeps and uses no CPU; a real one uses some."
BUSY = "The step keeps one core busy, without holding Python's lock."


def emulation_tables(found: Sequence[Emulation]) -> list[Table]:
    """Return a table per kind of step; none if no step was emulated."""
    return [_table(busy, list(group)) for busy, group in groupby(found, key=lambda each: each.busy)]


def _table(busy: bool, found: Sequence[Emulation]) -> Table:
    names = differing(each.row for each in found)
    steps = sorted({step for each in found for step in each.steps})
    headings = [
        *(HEADINGS[name] for name in names),
        "loader",
        *(f"AU at {step:g} ms" for step in steps),
        SHORTEST,
        "samples/s there",
    ]
    lines = [headings]
    for each in found:
        shortest = each.shortest_step
        there = None if shortest is None else each.measured[shortest].rate
        lines.append(
            [
                *(value(each.row, name) for name in names),
                cells.code(each.row.label),
                *(_utilization(each, step) for step in steps),
                _shortest(each),
                cells.median(there, cells.rate),
            ]
        )
    return Table(text=f"{BUSY if busy else SLEEPING} {LIMITS}", lines=lines)


def _utilization(each: Emulation, step: float) -> str:
    return cells.measured(
        each.steps.get(step), lambda case: cells.interval(case.utilization, cells.fraction)
    )


def _shortest(each: Emulation) -> str:
    if not each.measured:
        return cells.NOT_RUN
    if each.shortest_step is None:
        return "none"
    return f"{each.shortest_step:g}"


def emulation_findings(
    found: Sequence[Emulation], write_name: Callable[[str], str] = cells.code
) -> list[str]:
    """Return per set of options which steps each loader keeps busy.

    Args:
        found: the result of `emulations`.
        write_name: writes the name of a loader.
    """
    names = differing(each.row for each in found)

    def place_and_kind(each: Emulation) -> tuple[str, bool]:
        return describe(each.row, names), each.busy

    sentences = []
    for (place, busy), group in groupby(sorted(found, key=place_and_kind), key=place_and_kind):
        text = _ranked([each for each in group if each.measured], write_name)
        if text:
            where = f"{place}: with" if place else "With"
            kind = "keeps a core busy" if busy else "sleeps"
            sentences.append(f"{where} an emulated step that {kind}, {text}.")
    return sentences


def _ranked(found: Sequence[Emulation], write_name: Callable[[str], str]) -> str:
    """List loaders by the shortest step that they keep busy."""
    kept: dict[float | None, list[str]] = {}
    for each in found:
        kept.setdefault(each.shortest_step, []).append(write_name(each.row.label))
    parts = [
        f"{cells.enumeration(kept[step])} {_keep(kept[step])} steps of {step:g} ms or longer busy"
        for step in sorted(step for step in kept if step is not None)
    ]
    if None in kept:
        parts.append(f"{cells.enumeration(kept[None])} {_keep(kept[None])} no step busy")
    return "; ".join(parts)


def _keep(labels: Sequence[str]) -> str:
    return "keep" if len(labels) > 1 else "keeps"
