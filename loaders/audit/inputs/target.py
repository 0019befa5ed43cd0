"""Imports the input to audit."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from keras_loader_bench.loaders.audit.inputs.kinds import kind_of

_WANTED = (
    "a PyDataset, a tf.data dataset, a torch DataLoader, a Grain dataset, arrays `(x, y)`, or a "
    "function without arguments that makes one of these or a generator"
)


class TargetError(Exception):
    """The input cannot be loaded, or not be audited like this; the message has the remedy."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """An input, or what makes it."""

    name: str
    """`module:attribute`, as it was asked for."""

    make: Callable[[], Any]
    """Returns the input; of a generator a new one each time."""

    made: bool
    """Whether a function makes it."""

    @property
    def expression(self) -> str:
        """What a script in the input's module would write for it."""
        return self.name.partition(":")[2] + ("()" if self.made else "")


def split_name(name: str) -> tuple[str, str]:
    """Return module and attribute of `module:attribute`.

    Raises:
        TargetError: it is not of this form.
    """
    module, colon, attribute = name.partition(":")
    parts = [*module.split("."), *attribute.split(".")]
    if not colon or not all(part.isidentifier() for part in parts):
        raise TargetError(
            f"The input is named as `module:attribute`, such as `train:my_sequence`, got `{name}`."
        )
    return module, attribute


def check_module(name: str) -> None:
    """Look for a module; of one in a package, the package is imported.

    Raises:
        TargetError: there is none of this name.
    """
    try:
        found = find_spec(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # the package needs another one
        found = None
    if found is None:
        raise TargetError(
            f"There is no module `{name}`, neither in {Path.cwd()} nor installed; start the audit "
            "in the folder that has it."
        )


def load_attribute(name: str) -> Any:
    """Import a module and return an attribute of it.

    Args:
        name: `module:attribute`; the attribute may have dots.

    Raises:
        TargetError: there is no such module or attribute.
        Exception: whatever the module raises when it is imported.
    """
    module_name, attribute = split_name(name)
    check_module(module_name)
    value: Any = importlib.import_module(module_name)
    _parse_absl_flags()
    for i, part in enumerate(attribute.split(".")):
        owner = ":".join(filter(None, [module_name, ".".join(attribute.split(".")[:i])]))
        if not hasattr(value, part):
            raise TargetError(f"`{owner}` has no attribute `{part}`.")
        value = getattr(value, part)
    return value


def load_target(name: str) -> Target:
    """Import the module and find the input in it.

    Args:
        name: `module:attribute`.

    Raises:
        TargetError: there is no such module or attribute, or it is nothing that makes an input.
        Exception: whatever the module raises when it is imported.
    """
    value = load_attribute(name)
    kind = kind_of(value)
    if kind == "generator":
        raise TargetError(
            f"`{name}` is a generator, which can be read only once, and an audit reads it several "
            "times; name the function that makes it."
        )
    if kind:
        return Target(name=name, make=lambda: value, made=False)
    if not callable(value):
        raise TargetError(f"`{name}` is of type `{_type(value)}`; an audit needs {_WANTED}.")
    _check_no_arguments(name, value)
    return Target(name=name, make=lambda: _checked(name, value()), made=True)


def check_backend(target: Target, asked: str) -> None:
    """Compare the backend that was asked for with the one that an input chooses.

    Raises:
        TargetError: they differ.
    """
    keras = importlib.import_module("keras")  # anew: `keras.config.set_backend` replaces it
    for chosen in (os.environ.get("KERAS_BACKEND"), keras.backend.backend()):
        if chosen != asked:
            raise TargetError(
                f"`{target.name.partition(':')[0]}` sets Keras' backend to `{chosen}`, and "
                f"--keras-backend asks for `{asked}`; leave the option out, or let the module use "
                f'`os.environ.setdefault("KERAS_BACKEND", ...)`.'
            )


def _parse_absl_flags() -> None:
    """Give absl's flags their defaults, as `absl.app.run` would: Grain's processes read them."""
    with contextlib.suppress(ImportError):
        from absl import flags

        if not flags.FLAGS.is_parsed():
            flags.FLAGS.mark_as_parsed()


def _check_no_arguments(name: str, function: Callable[..., Any]) -> None:
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # a builtin that does not say
        return
    try:
        signature.bind()
    except TypeError as error:
        raise TargetError(
            f"`{name}` must be callable without arguments: {error}; name a function that calls it "
            "with what it needs and returns the input."
        ) from None


def _checked(name: str, value: Any) -> Any:
    if kind_of(value) is None:
        raise TargetError(
            f"`{name}` returned a value of type `{_type(value)}`; an audit needs {_WANTED}."
        )
    return value


def _type(value: Any) -> str:
    kind = type(value)
    if kind.__module__ == "builtins":
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"
