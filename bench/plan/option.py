"""The description of one option of a case, a row of the table in `bench.plan.options`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from types import MappingProxyType
from typing import Any, Literal

PixelForm = Literal["float32", "uint8", "own"]
Device = Literal["auto", "cpu", "gpu"]
Precision = Literal["float32", "mixed_bfloat16"]
JitCompile = Literal["auto", "on", "off"]
PageCache = Literal["warm", "cold"]
RowOrder = Literal["stored", "shuffled"]
Augment = Literal["none", "loader", "model"]


@dataclass(frozen=True, kw_only=True)
class Option:
    """One option: its flag, checks, storage and words."""

    flag: str = ""
    """The flag; several values are separated by commas. Empty: it is none of the command line."""

    metavar: str = ""
    help: str = ""

    noun: str
    """Its name in messages, such as "Unknown `noun`"."""

    kind: type = str
    """Type of a value: `str`, `int`, `float` (may be `None` in a case) or `bool` (a switch)."""

    choices: tuple[str, ...] = ()
    """Valid values; those of loaders are in the registry."""

    least: int | None = None
    """The smallest value: 0, or 1 for any number above 0. `None` if it is not a number."""

    single: bool = False
    """Whether a run has a single value."""

    given: str | None = None
    """The default on the command line; `None` if it depends on other options."""

    in_id: str = ""
    """Format of the value in the id of a case."""

    phrase: str | None = None
    """Format of the value in a report; `None` if the loader's label contains it."""

    default: Any = None
    """The default value, which ids and reports leave out; `None` if there is none."""

    always_in_id: bool = False
    """Whether ids contain the default as well."""

    audited: bool = True
    """Whether an audit may depend on it: it does not where the models of audits have none of it."""

    changes_batches: bool = False
    """Whether batches depend on it: rows that differ in none of these must have the same ones."""

    own: Any = None
    """The value in the cases of a user's input, which brings its own; ids and reports leave it out.
    `None`: it is chosen for an input too, or has its default."""

    since: int = 1
    """The schema of `run.json` that introduced it; older files have the default."""

    def is_given(self, value: Any) -> bool:
        """Return whether a value was chosen, and is not the input's own."""
        return self.own is None or value != self.own


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
    """Return the options of a dataclass by field name, in order."""
    return MappingProxyType(
        {each.name: found for each in fields(described) if (found := each.metadata.get("option"))}
    )
