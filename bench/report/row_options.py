"""The options that rows may differ in, and how they are named beside a loader.

The number of workers is none of them: rows that differ in it alone are compared.

Must not know: figures, files.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from types import MappingProxyType

from keras_loader_bench.bench.report.rows import Row

OPTIONS = MappingProxyType(
    {
        "backend": "{}",
        "batch_size": "batch size {}",
        "pixels": "{}",
        "precision": "policy {}",
        "jit_compile": "jit_compile {}",
        "steps_per_execution": "{} steps an execution",
        "page_cache": "page cache {}",
        "device": "device {}",
        "samples": "{:,} samples",
    }
)
"""Field of `Row` -> how its value reads in a sentence."""

_UNSAID = {
    "precision": "float32",
    "jit_compile": "auto",
    "steps_per_execution": 1,
    "page_cache": "warm",
    "device": "auto",
}
"""Values that go without saying where all rows have them: those that nobody asked for."""

HEADINGS = MappingProxyType({name: name.replace("_", " ") for name in OPTIONS})
"""Field of `Row` -> heading of its column."""


def value(row: Row, name: str) -> str:
    """Write the value of one option as it stands in a column."""
    option = getattr(row, name)
    return f"{option:,}" if isinstance(option, int) else str(option)


def differing(rows: Iterable[Row]) -> list[str]:
    """Return the options in which the rows are not all the same."""
    values: dict[str, set[object]] = {name: set() for name in OPTIONS}
    for row in rows:
        for name in OPTIONS:
            values[name].add(getattr(row, name))
    return [name for name in OPTIONS if len(values[name]) > 1]


def describe(
    row: Row, names: Collection[str] | None = None, *, without: Collection[str] = ()
) -> str:
    """Write the options of a row: `tensorflow, batch size 64`.

    Args:
        row: any row.
        names: the options to mention, in the order of `OPTIONS`. `None`: those whose value does not
            go without saying.
        without: options not to mention.
    """
    if names is None:
        names = [name for name in OPTIONS if _UNSAID.get(name) != getattr(row, name)]
    texts = (
        text.format(getattr(row, name))
        for name, text in OPTIONS.items()
        if name in names and name not in without
    )
    return ", ".join(texts)
