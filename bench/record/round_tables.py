"""Rounds as the file has them: a table, whose columns are named once and not in every row."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

ROUNDS = "rounds"
_COLUMNS, _ROWS = "columns", "rows"


def to_tables(value: Any) -> Any:
    """Return what is written, with a table in place of every list of rounds.

    Args:
        value: plain values, as JSON has them.
    """
    return _replaced(value, _are_rounds, _table)


def from_tables(value: Any) -> Any:
    """Return what was read, with a list of rounds in place of every table.

    Args:
        value: as `json.loads` gives it; what is no table stays what it is.
    """
    return _replaced(value, _is_table, _rounds)


def _replaced(value: Any, is_one: Callable[[Any], bool], other: Callable[[Any], Any]) -> Any:
    """Return a value with another form of all rounds in it that have one form."""
    if isinstance(value, dict):
        return {
            name: other(each) if name == ROUNDS and is_one(each) else _replaced(each, is_one, other)
            for name, each in value.items()
        }
    return [_replaced(each, is_one, other) for each in value] if isinstance(value, list) else value


def _are_rounds(value: Any) -> bool:
    return bool(value) and isinstance(value, list) and all(isinstance(each, dict) for each in value)


def _table(rounds: list[dict[str, Any]]) -> dict[str, Any]:
    columns = list(dict.fromkeys(name for each in rounds for name in each))
    return {_COLUMNS: columns, _ROWS: [[each.get(name) for name in columns] for each in rounds]}


def _is_table(value: Any) -> bool:
    if not isinstance(value, dict) or value.keys() != {_COLUMNS, _ROWS}:
        return False
    columns, rows = value[_COLUMNS], value[_ROWS]
    return (
        isinstance(columns, list)
        and isinstance(rows, list)
        and all(isinstance(row, list) and len(row) == len(columns) for row in rows)
    )


def _rounds(table: dict[str, Any]) -> list[dict[str, Any]]:
    return [dict(zip(table[_COLUMNS], row, strict=True)) for row in table[_ROWS]]
