"""The cases of users' inputs: what is measured of them, how, and with which options."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.machinery import PathFinder
from itertools import product
from pathlib import Path
from typing import Any

from keras_loader_bench.bench.plan.case import Case
from keras_loader_bench.bench.plan.matrix import ORDER, check_values
from keras_loader_bench.bench.plan.options import CASE_OPTIONS
from keras_loader_bench.bench.plan.protocol import Protocol
from keras_loader_bench.bench.plan.remedies import REMEDIES
from keras_loader_bench.bench.plan.sizes import parse_limit
from keras_loader_bench.loaders.audit.inputs.target import TargetError, split_name

INPUTS = Protocol(processes=3, rounds=4, most_rounds=4, round_seconds=0.8, memory_processes=1)
"""How users' inputs are measured: all rounds are timed from their second batch on."""

INPUT_OPTIONS = ("backend", "device", "steps", "model")
"""Options that the cases of a user's input have; all others are those of this suite's loaders."""

WITH_INPUT = {
    *(
        "--input",
        "--model",
        "--no-remedies",
        "--fail-if",
        "--quick",
        "--dry-run",
        "--no-report",
        "--results-dir",
    ),
    *("--processes", "--rounds", "--round-seconds", "--new-interpreters", "--seed"),
    *("--case-timeout", "--silence-timeout"),
    *(CASE_OPTIONS[name].flag for name in INPUT_OPTIONS if name != "model"),
}
"""Options that may be combined with `--input`."""

INPUT_BENCHES = ("feed", "train", "memory")
"""The benchmarks of a user's input."""


def check_name(flag: str, name: str) -> str:
    """Return a name that is of the form `module:attribute`.

    Raises:
        ValueError: it is not, or there is no such module.
    """
    try:
        module, _ = split_name(name)
    except TargetError:
        message = f"`{flag}` names `module:attribute`, such as `train:make`, got `{name}`."
        raise ValueError(message) from None
    top = module.partition(".")[0]
    # Children look here first, and `keras-loader-bench` itself does not.
    if PathFinder.find_spec(top, [str(Path.cwd()), *sys.path]) is None and top not in sys.modules:
        raise ValueError(
            f"`{flag} {name}`: there is no module `{top}`, neither in {Path.cwd()} nor installed; "
            "start in the folder that has it."
        )
    return name


def cases_of_inputs(
    bench: str, inputs: Sequence[str], values: Mapping[str, Sequence[Any]]
) -> list[Case]:
    """Return the cases of one benchmark for users' inputs.

    Args:
        bench: one of `INPUT_BENCHES`.
        inputs: `module:attribute` of each.
        values: as in `cases_of`; of these, the ones in `INPUT_OPTIONS` count.

    Raises:
        ValueError: as in `cases_of`, or a name has another form.
    """
    own = {name: [each.own] for name, each in CASE_OPTIONS.items() if each.own is not None}
    chosen = {name: [each.default] for name, each in CASE_OPTIONS.items()} | own
    chosen |= {name: list(values[name]) for name in INPUT_OPTIONS if name in values}
    for name in INPUT_OPTIONS:
        if name != "model":
            check_values(name, CASE_OPTIONS[name], chosen[name])
    chosen["loader"] = list(inputs)
    for name in inputs:
        check_name("--input", name)
        if inputs.count(name) > 1:
            raise ValueError(f"The input `{name}` is given twice; remove one.")
    names = [*ORDER, "num_workers"]
    combinations = product(*(chosen[name] for name in names))
    return [Case(bench=bench, **dict(zip(names, each, strict=True))) for each in combinations]


def with_remedies(cases: Sequence[Case]) -> list[Case]:
    """Return cases with each remedy; some will not apply."""
    return [replace(case, remedy=name) for case in cases for name in REMEDIES]


def parse_wait(text: str | None) -> float | None:
    """Return the share of `wait=20%`; `None`: there is no limit.

    Raises:
        ValueError: it has another form.
    """
    if text is None:
        return None
    try:
        return parse_limit("wait", text, example="20%")
    except ValueError as error:
        raise ValueError(f"`--fail-if` {error}.") from None
