"""Suggested changes of Keras, tried in a copy of the function that they change.

Nothing is written into the installed package: the function is compiled anew from its own source,
with some texts in the place of others, and set in this process alone.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import sys
import textwrap
from dataclasses import dataclass
from typing import Any

from keras_loader_bench.loaders.registry import BACKENDS


class MendError(ValueError):
    """The function is not the one that the change was made for."""


@dataclass(frozen=True, kw_only=True)
class Mend:
    """A change of one function."""

    module: str
    function: str
    """Its name in the module, with its class: `Class.method`."""

    changes: tuple[tuple[str, str], ...]
    """What stands there, once, and what takes its place."""

    backends: tuple[str, ...] = BACKENDS
    """On which it is made: others have another function."""

    @property
    def diff(self) -> str:
        """The changes: lines with `-` or `+`, and others that stay."""
        hunks = []
        for old, new in self.changes:
            lines = difflib.ndiff(old.splitlines(), new.splitlines())
            hunks.append("\n".join(line for line in lines if not line.startswith("?")))
        return "\n\n".join(hunks)

    def source(self) -> str:
        """Return the changed source of the function.

        Raises:
            MendError: it is another function than the one that was looked at.
        """
        owner, name = self._place()
        source = textwrap.dedent(inspect.getsource(getattr(owner, name)))
        for old, new in self.changes:
            if source.count(old) != 1:
                raise MendError(
                    f"`{self.module}.{self.function}` has not once what is to be changed; the mend "
                    "was made for another version of Keras."
                )
            source = source.replace(old, new)
        return source

    def apply(self) -> None:
        """Set the changed function.

        Raises:
            MendError: see `source`.
        """
        owner, name = self._place()
        made: dict[str, object] = {}
        code = compile(self.source(), f"<{self.function}, changed>", "exec")
        exec(code, vars(sys.modules[self.module]), made)  # noqa: S102
        setattr(owner, name, made[name])

    def _place(self) -> tuple[Any, str]:
        """Return the module or class that has the function, and its name there."""
        owner: Any = importlib.import_module(self.module)
        *owners, name = self.function.split(".")
        for each in owners:
            owner = getattr(owner, each)
        return owner, name
