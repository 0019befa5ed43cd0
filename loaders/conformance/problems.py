"""What is wrong in a matrix: each problem with the smallest set of conditions that shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from keras_loader_bench.loaders.conformance.setups import AXES, KINDS, Setup
from keras_loader_bench.loaders.conformance.trials import Cell

Retry = Callable[[Sequence[tuple[Setup, Sequence[str]]]], Iterable[Cell]]
"""Tries setups again, some passes of each; returns the cells of the passes that apply."""


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

    What all of them need next is tried at once.

    Args:
        cells: of one Keras on one backend.
        retry: tries fewer conditions.
    """
    cells = list(cells)
    tried = _Tried(cells, retry)
    wrong = [cell for cell in cells if sort_of(cell)]
    passes: dict[tuple[Setup, str], list[str]] = {}
    for cell in wrong:
        _add(passes, _least(cell, wrong), sort_of(cell), [cell.name])
    reduced = [(setup, sort, names) for (setup, sort), names in passes.items()]
    before = None
    while reduced != before:
        before = reduced
        tried.try_new([(each, names) for setup, _, names in before for each in _fewer(setup)])
        reduced = [
            (tried.smaller(setup, sort, names), sort, names) for setup, sort, names in before
        ]
    found: dict[tuple[Setup, str], list[str]] = {}
    for setup, sort, names in reduced:
        _add(found, setup, sort, names)
    return [
        Problem(setup, tuple(names), sort, _showing(wrong, setup, names, sort))
        for (setup, sort), names in found.items()
    ]


class _Tried:
    """What is known of the passes over setups.

    Args:
        cells: that have been tried.
        retry: tries others.
    """

    def __init__(self, cells: Iterable[Cell], retry: Retry) -> None:
        self._cells = {(cell.setup, cell.name): cell for cell in cells}
        self._asked = set(self._cells)
        self._retry = retry

    def try_new(self, asked: Iterable[tuple[Setup, Sequence[str]]]) -> None:
        """Try those passes over setups that have not been."""
        new: dict[Setup, list[str]] = {}
        for setup, names in asked:
            for name in names:
                if (setup, name) not in self._asked:
                    self._asked.add((setup, name))
                    new.setdefault(setup, []).append(name)
        if new:
            self._cells |= {
                (cell.setup, cell.name): cell for cell in self._retry(list(new.items()))
            }

    def smaller(self, setup: Setup, sort: str, names: Iterable[str]) -> Setup:
        """Return one with a condition less where all passes that apply go wrong, or the same."""
        for fewer in _fewer(setup):
            mine = [self._cells[fewer, name] for name in names if (fewer, name) in self._cells]
            if {sort_of(cell) for cell in mine} == {sort}:
                return fewer
        return setup


def _least(cell: Cell, wrong: Sequence[Cell]) -> Setup:
    """Return the setup with the fewest conditions that explains a cell."""
    same = (each for each in wrong if each.name == cell.name and sort_of(each) == sort_of(cell))
    within = (each.setup for each in same if cell.setup.includes(each.setup))
    return min(within, key=lambda setup: len(setup.conditions))


def _fewer(setup: Setup) -> list[Setup]:
    """Return the setups with one condition less."""
    axes = KINDS[setup.kind].axes
    return [setup.without(name) for name in setup.conditions if AXES[name][0] in axes[name]]


def _add(
    found: dict[tuple[Setup, str], list[str]], setup: Setup, sort: str, names: Iterable[str]
) -> None:
    known = found.setdefault((setup, sort), [])
    known += [name for name in names if name not in known]


def _showing(
    wrong: Sequence[Cell], setup: Setup, names: Sequence[str], sort: str
) -> tuple[Cell, ...]:
    """Return the cells that show a problem, the plainest first."""
    same = (each for each in wrong if each.name in names and sort_of(each) == sort)
    within = [each for each in same if each.setup.includes(setup)]
    return tuple(sorted(within, key=lambda each: len(each.setup.conditions)))
