"""Names the options of rows in reports.

The number of workers is none of them: rows that differ in it alone are compared.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from types import MappingProxyType

from keras_loader_bench.bench.plan.options import COMPARED, ROW_OPTIONS, Options
from keras_loader_bench.bench.plan.remedies import words_of

HEADINGS = MappingProxyType({name: name.replace("_", " ") for name in COMPARED})
"""Option -> heading of its column."""


def value(row: Options, name: str) -> str:
    """Write the value of one option as it stands in a column."""
    option = _words(row, name)
    return f"{option:,}" if isinstance(option, int) else str(option)


def _words(row: Options, name: str) -> object:
    option = getattr(row, name)
    return words_of(option) if name == "remedy" else option


def differing(rows: Iterable[Options]) -> list[str]:
    """Return the options in which the rows are not all the same."""
    values: dict[str, set[object]] = {name: set() for name in COMPARED}
    for row in rows:
        for name in COMPARED:
            values[name].add(getattr(row, name))
    return [name for name in COMPARED if len(values[name]) > 1]


def describe(
    row: Options, names: Collection[str] | None = None, *, without: Collection[str] = ()
) -> str:
    """Write the options of a row: `tensorflow, batch size 64`.

    Args:
        row: any row.
        names: the options to mention, in the order of `COMPARED`. `None`: those that somebody asked
            for, or that have no default.
        without: options not to mention.
    """
    if names is None:
        names = [name for name in COMPARED if ROW_OPTIONS[name].default != getattr(row, name)]
    texts = (
        _phrase(row, name)
        for name in COMPARED
        if name in names and name not in without and ROW_OPTIONS[name].is_given(getattr(row, name))
    )
    return ", ".join(texts)


def _phrase(row: Options, name: str) -> str:
    phrase = str(ROW_OPTIONS[name].phrase).format(_words(row, name))
    return phrase.removesuffix("s") if name == "ranks" and row.ranks == 1 else phrase
