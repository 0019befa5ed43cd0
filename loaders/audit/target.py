"""Imports the input to audit, and finds out its kind and how to read it directly.

Kinds are recognised by class names, as Keras does, so that no framework is imported to tell.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import itertools
import os
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

Length = int | Literal["infinite", "unknown"]
"""Batches of an input."""

KINDS = {
    # name of a base class, start of its module -> what it is called
    ("PyDataset", "keras."): "PyDataset",
    ("DatasetV2", "tensorflow.python."): "tf.data dataset",
    ("DataLoader", "torch.utils.data"): "torch DataLoader",
    ("DataLoader", "grain."): "grain DataLoader",
    ("MapDataset", "grain."): "grain dataset",
    ("IterDataset", "grain."): "grain dataset",
}

_WANTED = (
    "a PyDataset, a tf.data dataset, a torch DataLoader, a Grain dataset, or a function without "
    "arguments that makes one of these or a generator"
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


def kind_of(value: Any) -> str | None:
    """Return what kind of input something is; `None`: `fit` takes no such input."""
    if isinstance(value, types.GeneratorType):
        return "generator"
    for parent in type(value).__mro__:
        for (name, module), kind in KINDS.items():
            if parent.__name__ == name and parent.__module__.startswith(module):
                return kind
    return None


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
        return Target(name=name, make=lambda: value)
    if not callable(value):
        raise TargetError(f"`{name}` is of type `{_type(value)}`; an audit needs {_WANTED}.")
    _check_no_arguments(name, value)
    return Target(name=name, make=lambda: _checked(name, value()))


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


def length_of(value: Any, kind: str) -> Length:
    """Return how many batches one reading of an input has, where it says so."""
    if kind == "PyDataset":
        return "infinite" if value.num_batches is None else int(value.num_batches)
    if kind == "tf.data dataset":
        cardinality = int(value.cardinality())
        return {-1: "infinite", -2: "unknown"}.get(cardinality, cardinality)  # type: ignore[return-value]
    if kind == "torch DataLoader":
        try:
            return len(value)
        except TypeError:
            return "unknown"
    return "unknown"


def read_by_hand(value: Any, kind: str) -> Iterator[Any]:
    """Yield the batches of an input without Keras, one after the other."""
    if kind != "PyDataset":
        yield from value
        return
    # As Keras does around an epoch: an input that shuffles there is to be seen doing it.
    value.on_epoch_begin()
    length = length_of(value, kind)
    for i in range(length) if isinstance(length, int) else itertools.count():
        yield value[i]
    value.on_epoch_end()


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
