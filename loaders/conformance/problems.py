"""What is wrong in a matrix: each problem with the smallest set of conditions that shows it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import NamedTuple

from keras_loader_bench.loaders.conformance.cells import Cell
from keras_loader_bench.loaders.conformance.expected import expected
from keras_loader_bench.loaders.conformance.setups import AXES, KINDS, Setup


class Asked(NamedTuple):
    """A setup that is to be tried with some passes."""

    setup: Setup
    names: Sequence[str]
    """Of the passes."""

    race: bool
    """Whether what is looked for goes wrong now and then only."""


Retry = Callable[[Sequence[Asked]], Iterable[Cell]]
"""Tries setups; returns the cells of the passes that apply."""


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
    """Return what is wrong, with conditions removed as long as all its passes stay wrong.

    One pass tells which conditions can be left out one at a time; then these are left out together,
    and all passes are tried. What all problems need next is tried at the same time.

    Args:
        cells: of one Keras on one backend.
        retry: tries fewer conditions.
    """
    cells = list(cells)
    tried = _Tried(cells, retry)
    wrong = [cell for cell in cells if sort_of(cell)]
    alike: dict[tuple[Setup, str, bool], list[Cell]] = {}
    for cell in wrong:
        alike.setdefault((_least(cell, wrong), sort_of(cell), cell.is_race), []).append(cell)
    reduced = [
        _Reduced(setup, sort, _names(group), _most_often(group) if is_race else None)
        for (setup, sort, is_race), group in alike.items()
    ]
    before = None
    while reduced != before:
        before = reduced
        reduced = tried.smaller(before)
    found: dict[tuple[Setup, str], list[str]] = {}
    for each in reduced:
        known = found.setdefault((each.setup, each.sort), [])
        known += [name for name in each.names if name not in known]
    return [
        Problem(setup, tuple(names), sort, _showing(wrong, setup, names, sort))
        for (setup, sort), names in found.items()
    ]


@dataclass(frozen=True)
class _Reduced:
    """How far the conditions of a problem have been removed."""

    setup: Setup
    sort: str
    names: Sequence[str]
    race: str | None
    """The pass that goes wrong most often, of what does so now and then only."""

    def asked(self, setup: Setup) -> Asked:
        """Return what asks for all passes."""
        return Asked(setup, self.names, self.race is not None)

    def asked_once(self, setup: Setup) -> Asked:
        """Return what asks for one pass: that of a race, or the first one that applies."""
        names = [self.race] if self.race else self.names
        there = [name for name in names if expected(setup, name)]
        return Asked(setup, there[:1], self.race is not None)


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

    def smaller(self, before: Sequence[_Reduced]) -> list[_Reduced]:
        """Return each problem with fewer conditions, or the same where it needs all."""
        self._try_new(each.asked_once(fewer) for each in before for fewer in _fewer(each.setup))
        ways = []
        for each in before:
            wrong = [fewer for fewer in _fewer(each.setup) if self._shows(each, fewer)]
            ways.append((each, [_common(wrong), *wrong] if wrong else []))
        self._try_new(each.asked(fewer) for each, way in ways for fewer in way[:1])
        # Where either of two conditions will do, both cannot be left out: then only one is.
        self._try_new(
            each.asked(fewer)
            for each, way in ways
            if way and not self._shows(each, way[0])
            for fewer in way[1:]
        )
        return [
            replace(each, setup=next((f for f in way if self._shows(each, f)), each.setup))
            for each, way in ways
        ]

    def _try_new(self, asked: Iterable[Asked]) -> None:
        """Try those passes over setups that have not been."""
        new: dict[Setup, Asked] = {}
        for setup, names, race in asked:
            left = [name for name in names if (setup, name) not in self._asked]
            self._asked |= {(setup, name) for name in left}
            if left:
                known = new.get(setup, Asked(setup, (), False))
                new[setup] = Asked(setup, [*known.names, *left], known.race or race)
        if new:
            self._cells |= {
                (cell.setup, cell.name): cell for cell in self._retry(list(new.values()))
            }

    def _shows(self, problem: _Reduced, setup: Setup) -> bool:
        """Return whether all passes over a setup that were tried go wrong as a problem does.

        Of a race one is enough: others may go wrong the next time.
        """
        known = [each for name in problem.names if (each := self._cells.get((setup, name)))]
        sorts = {sort_of(cell) for cell in known}
        return problem.sort in sorts if problem.race else sorts == {problem.sort}


def _least(cell: Cell, wrong: Sequence[Cell]) -> Setup:
    """Return the setup with the fewest conditions that explains a cell."""
    same = (each for each in wrong if each.name == cell.name and sort_of(each) == sort_of(cell))
    within = (each.setup for each in same if cell.setup.includes(each.setup))
    return min(within, key=lambda setup: len(setup.conditions))


def _names(cells: Iterable[Cell]) -> list[str]:
    return list(dict.fromkeys(cell.name for cell in cells))


def _most_often(races: Iterable[Cell]) -> str:
    """Return the name of the cell that goes wrong most often."""
    return max(races, key=lambda cell: cell.wrong_runs / len(cell.found)).name


def _common(setups: Sequence[Setup]) -> Setup:
    """Return the one with the conditions that all have."""
    first, *others = setups
    own = [name for name in first.conditions if any(name not in o.conditions for o in others)]
    return reduce(Setup.without, own, first)


def _fewer(setup: Setup) -> list[Setup]:
    """Return the setups with one condition less."""
    axes = KINDS[setup.kind].axes
    return [setup.without(name) for name in setup.conditions if AXES[name][0] in axes[name]]


def _showing(
    wrong: Sequence[Cell], setup: Setup, names: Sequence[str], sort: str
) -> tuple[Cell, ...]:
    """Return the cells that show a problem, the plainest first."""
    same = (each for each in wrong if each.name in names and sort_of(each) == sort)
    within = [each for each in same if each.setup.includes(setup)]
    return tuple(sorted(within, key=lambda each: len(each.setup.conditions)))
