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

    What is found for one kind of input is tried with all others at once.

    Args:
        cells: of one Keras on one backend.
        retry: tries fewer conditions.
    """
    wrong = [cell for cell in cells if sort_of(cell)]
    passes: dict[tuple[Setup, str], list[str]] = {}
    for cell in wrong:
        names = passes.setdefault((_least(cell, wrong), sort_of(cell)), [])
        if cell.name not in names:
            names.append(cell.name)
    found: dict[tuple[Setup, str], list[str]] = {}
    open_ = dict(passes)
    while open_:
        (setup, sort), names = next(iter(open_.items()))
        small = _reduced(setup, sort, names, retry)
        guesses = {
            key: guess
            for key in open_
            if (guess := _with(key[0], small)) is not None and key != (setup, sort)
        }
        del open_[setup, sort]
        _add(found, small, sort, names)
        still = _still_wrong(
            [(guess, *key[1:], open_[key]) for key, guess in guesses.items()], retry
        )
        for (key, guess), stays in zip(guesses.items(), still, strict=True):
            if stays:
                _add(found, guess, key[1], open_.pop(key))
    return [
        Problem(setup, tuple(names), sort, _showing(wrong, setup, names, sort))
        for (setup, sort), names in found.items()
    ]


def _least(cell: Cell, wrong: Sequence[Cell]) -> Setup:
    """Return the setup with the fewest conditions that explains a cell."""
    same = (each for each in wrong if each.name == cell.name and sort_of(each) == sort_of(cell))
    within = (each.setup for each in same if cell.setup.includes(each.setup))
    return min(within, key=lambda setup: len(setup.conditions))


def _with(setup: Setup, small: Setup) -> Setup | None:
    """Return a setup of the same kind with no more conditions than another one has.

    `None`: it does not have all of them, or no others.
    """
    if not small.conditions.items() <= setup.conditions.items():
        return None
    guess = setup
    for name in setup.conditions.keys() - small.conditions.keys():
        if AXES[name][0] not in KINDS[setup.kind].axes[name]:
            return None
        guess = guess.without(name)
    return guess


def _add(
    found: dict[tuple[Setup, str], list[str]], setup: Setup, sort: str, names: Iterable[str]
) -> None:
    known = found.setdefault((setup, sort), [])
    known += [name for name in names if name not in known]


def _reduced(setup: Setup, sort: str, names: Sequence[str], retry: Retry) -> Setup:
    """Remove conditions one by one as long as the problem stays."""
    while setup.conditions:
        axes = KINDS[setup.kind].axes
        fewer = [setup.without(name) for name in setup.conditions if AXES[name][0] in axes[name]]
        still = _still_wrong([(each, sort, names) for each in fewer], retry)
        smaller = [each for each, stays in zip(fewer, still, strict=True) if stays]
        if not smaller:
            return setup
        setup = smaller[0]
    return setup


def _still_wrong(asked: Sequence[tuple[Setup, str, Sequence[str]]], retry: Retry) -> list[bool]:
    """Return of each setup whether all passes that apply are wrong in the same way."""
    if not asked:
        return []
    cells = list(retry([(setup, names) for setup, _, names in asked]))
    still = []
    for setup, sort, names in asked:
        mine = [sort_of(cell) for cell in cells if cell.setup == setup and cell.name in names]
        still.append(bool(mine) and set(mine) == {sort})
    return still


def _showing(
    wrong: Sequence[Cell], setup: Setup, names: Sequence[str], sort: str
) -> tuple[Cell, ...]:
    """Return the cells that show a problem, the plainest first."""
    same = (each for each in wrong if each.name in names and sort_of(each) == sort)
    within = [each for each in same if each.setup.includes(setup)]
    return tuple(sorted(within, key=lambda each: len(each.setup.conditions)))
