"""What is wrong in a matrix: each problem with the smallest set of conditions that shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from keras_loader_bench.loaders.conformance.setups import AXES, KINDS, Setup
from keras_loader_bench.loaders.conformance.trials import Cell

Retry = Callable[[Sequence[Setup], str], Sequence[Cell]]
"""Tries setups again, one pass of each: given the setups and the pass, returns the cells."""


@dataclass(frozen=True)
class Problem:
    """One way in which a kind of input goes wrong."""

    setup: Setup
    """The smallest one."""

    passes: tuple[str, ...]
    """That go wrong with it."""

    sort: str
    """`data`: the model is given something else; `hang`; or the line of an error."""

    cells: tuple[Cell, ...]
    """All that show it, those of the smallest setup first."""


def sort_of(cell: Cell) -> str:
    """Return what sort of problem a cell has; nothing if it has none."""
    if cell.verdict == "identical":
        return ""
    if cell.verdict == "error":
        return cell.worst.text
    return "hang" if cell.verdict == "hang" else "data"


def problems(cells: Iterable[Cell], retry: Retry) -> list[Problem]:
    """Return what is wrong, with conditions removed one by one as long as it stays wrong.

    Args:
        cells: of one Keras on one backend.
        retry: tries fewer conditions.
    """
    wrong = [cell for cell in cells if sort_of(cell)]
    smallest: dict[tuple[str, str, Setup], Setup] = {}
    for cell in wrong:
        key = cell.name, sort_of(cell), _least(cell, wrong)
        if key not in smallest:
            smallest[key] = _reduced(key[2], cell.name, sort_of(cell), retry)
    passes: dict[tuple[Setup, str], list[str]] = {}
    for (name, sort, _), setup in smallest.items():
        names = passes.setdefault((setup, sort), [])
        if name not in names:
            names.append(name)
    return [
        Problem(setup, tuple(names), sort, _showing(wrong, setup, names, sort))
        for (setup, sort), names in passes.items()
    ]


def _least(cell: Cell, wrong: Sequence[Cell]) -> Setup:
    """Return the setup with the fewest conditions that explains a cell."""
    same = (each for each in wrong if each.name == cell.name and sort_of(each) == sort_of(cell))
    within = (each.setup for each in same if cell.setup.includes(each.setup))
    return min(within, key=lambda setup: len(setup.conditions))


def _showing(wrong: Sequence[Cell], setup: Setup, names: list[str], sort: str) -> tuple[Cell, ...]:
    """Return the cells that show a problem, the plainest first."""
    same = (each for each in wrong if each.name in names and sort_of(each) == sort)
    within = [each for each in same if each.setup.includes(setup)]
    return tuple(sorted(within, key=lambda each: len(each.setup.conditions)))


def _reduced(setup: Setup, of: str, sort: str, retry: Retry) -> Setup:
    """Remove conditions one by one as long as the problem stays."""
    while setup.conditions:
        axes = KINDS[setup.kind].axes
        fewer = [setup.without(name) for name in setup.conditions if AXES[name][0] in axes[name]]
        still = [cell.setup for cell in retry(fewer, of) if sort_of(cell) == sort]
        if not still:
            return setup
        setup = still[0]
    return setup
