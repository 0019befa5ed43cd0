"""Makes cases of the values of options: every combination that makes sense."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from itertools import product
from typing import Any

from keras_loader_bench.bench.plan.case import Case, loaders_of
from keras_loader_bench.bench.plan.option import Option
from keras_loader_bench.bench.plan.options import CASE_OPTIONS
from keras_loader_bench.loaders.registry import LoaderEntry

_FIRST = ("backend", "samples")
_OWN = {*_FIRST, "loader", "num_workers"}
ORDER = (*_FIRST, *(name for name in CASE_OPTIONS if name not in _OWN), "loader")
"""Options in order of iteration, slowest first, so that neighbouring cases differ in the loader."""

_KINDS = {int: "whole numbers", float: "numbers of milliseconds"}


def parse_values(each: Option, text: str) -> list[Any]:
    """Parse the values of an option from the command line.

    Args:
        each: the option.
        text: values that are separated by commas.

    Raises:
        ValueError: a value is no number where one is wanted, or comes twice.
    """
    texts = [part.strip() for part in text.split(",")]
    if each.kind is str:
        return texts
    try:
        values = [each.kind(part) for part in texts]
    except ValueError:
        kind = _KINDS[each.kind]
        raise ValueError(f"`{each.flag}` takes {kind} separated by commas, got `{text}`.") from None
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"`{each.flag}` contains {value:g} twice; remove one.")
    return values


def cases_of(bench: str, values: Mapping[str, Sequence[Any]]) -> list[Case]:
    """Return the cases of one benchmark: every combination of its options.

    A loader without workers has one case, whatever the numbers of workers. Only `emulated` cases
    have a `step_ms`, and none where it has no value. Only `train` cases have a
    model to choose. Memory is measured with a warm page cache, of one rank.

    Args:
        bench: one of `BENCHES`.
        values: name of an option -> its values; one that is missing has its default.

    Raises:
        ValueError: a name is unknown or a number is out of range; the message lists what is valid.
    """
    loaders = loaders_of(max(values.get("image_size", [0])))
    for name, given in values.items():
        check_values(name, CASE_OPTIONS[name], given, loaders=loaders)
    chosen = {name: values.get(name, [CASE_OPTIONS[name].default]) for name in ORDER}
    if bench == "emulated":
        chosen["step_ms"] = values.get("step_ms", [])
        most = max(chosen["steps_per_execution"])
        if chosen["step_ms"] and most > 1:
            raise ValueError(
                "Emulated steps wait once per batch, so `--steps-per-execution` must be 1, "
                f"got {most}."
            )
    else:
        chosen["step_ms"], chosen["step_cpu"] = [None], [False]
    if bench != "train":
        chosen["model"] = [CASE_OPTIONS["model"].default]
    if bench == "memory":
        chosen["page_cache"] = ["warm"]
    return [
        Case(bench=bench, num_workers=workers, **dict(zip(ORDER, combination, strict=True)))
        for combination in product(*chosen.values())
        for workers in _workers(
            loaders_of(combination[ORDER.index("image_size")])[combination[-1]],
            values.get("num_workers", [0]),
        )
    ]


def _workers(entry: LoaderEntry, numbers: Sequence[int]) -> list[int]:
    return sorted(set(numbers)) if entry.has_workers else [0]


def check_values(
    name: str, each: Option, given: Sequence[Any], *, loaders: Collection[str] = ()
) -> None:
    """Refuse values of an option that are unknown, out of range or given twice.

    Args:
        name: of the option.
        each: the option.
        given: its values.
        loaders: the names that a loader may have.

    Raises:
        ValueError: the message lists what is valid.
    """
    choices = sorted(loaders) if name == "loader" else each.choices
    for value in given:
        if choices and value not in choices:
            raise ValueError(f"Unknown {each.noun} `{value}`; choose from {', '.join(choices)}.")
        if choices and given.count(value) > 1:
            raise ValueError(f"The {each.noun} `{value}` is given twice; remove one.")
        if each.least == 0 and value < 0:
            raise ValueError(f"A {each.noun} must not be negative, got {value}.")
        if each.least == 1 and not 0 < value < math.inf:
            raise ValueError(f"A {each.noun} must be positive, got {value}.")
