"""Suggested changes of Keras, tried in a copy of the function that they change.

Nothing is written into the installed package: the function is compiled anew from its own source,
with one text in the place of another, and set in this process alone.
"""

from __future__ import annotations

import importlib
import inspect
import textwrap
from dataclasses import dataclass


class MendError(ValueError):
    """The function is not the one that the change was made for."""


@dataclass(frozen=True, kw_only=True)
class Mend:
    """A change of one function."""

    module: str
    function: str
    """Its name in the module, with its class: `Class.method`."""

    old: str
    """What stands there, once."""

    new: str

    @property
    def diff(self) -> str:
        """The change, a line with `-` or `+` each."""
        lines = [f"- {line}" for line in self.old.splitlines()]
        return "\n".join([*lines, *(f"+ {line}" for line in self.new.splitlines())])

    def apply(self) -> None:
        """Set the changed function.

        Raises:
            MendError: it is another function than the one that was looked at.
        """
        module = importlib.import_module(self.module)
        *owners, name = self.function.split(".")
        owner = module
        for each in owners:
            owner = getattr(owner, each)
        source = textwrap.dedent(inspect.getsource(getattr(owner, name)))
        if source.count(self.old) != 1:
            raise MendError(
                f"`{self.module}.{self.function}` has not once what is to be changed; the mend was "
                "made for another version of Keras."
            )
        made: dict[str, object] = {}
        text = source.replace(self.old, self.new)
        exec(compile(text, f"<{self.function}, changed>", "exec"), vars(module), made)  # noqa: S102
        setattr(owner, name, made[name])
