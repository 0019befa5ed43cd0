"""A text table of a section of the report."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table, its first line the headings, and a text above it."""

    text: str
    lines: list[list[str]]
