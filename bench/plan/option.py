"""How one option of a case is described: the columns of the table in `bench.plan.options`.

Must not know: which options there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from types import MappingProxyType
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Option:
    """How an option is asked for, checked, stored and named."""

    flag: str
    """On the command line, where several values are separated by commas."""

    metavar: str
    help: str

    noun: str
    """In messages: "Unknown `noun`"."""

    kind: type = str
    """Of one value: `str`, `int`, `float` (which may be `None` in a case) or `bool` (a switch)."""

    choices: tuple[str, ...] = ()
    """Valid names; of loaders, the registry has them."""

    least: int | None = None
    """The smallest value: 0 may be given, 1 stands for anything above 0. `None`: no number."""

    single: bool = False
    """Whether a run has one value."""

    given: str | None = None
    """The command line's default; `None`: it depends."""

    in_id: str
    """How its value is part of a case's id."""

    phrase: str | None = None
    """How its value reads in a report; `None`: it belongs to the loader's name or is said there."""

    default: Any = None
    """What nobody has to ask for: neither mentioned nor part of an id; `None`: there is no such."""

    always_in_id: bool = False
    """Whether the default is part of an id too."""

    since: int = 1
    """The schema of `run.json` that brought it; older files have the default."""


def option(default: Any = None, *, since: int = 1, **about: Any) -> Any:
    """Return a dataclass field that describes an option.

    Args:
        default: of the field, and what older files of `run.json` mean; `None`: it must be given.
        since: the schema that brought it.
        about: other fields of `Option`.
    """
    described = Option(default=default, since=since, **about)
    needed = default is None and described.kind is not float
    return field(default=MISSING if needed else default, metadata={"option": described})


def options_of(described: type[Any]) -> Mapping[str, Option]:
    """Return the table of a dataclass: name of a field -> its option, in order."""
    return MappingProxyType(
        {each.name: found for each in fields(described) if (found := each.metadata.get("option"))}
    )
