"""The suite's command line: what can be asked for, and what of it makes sense.

Must not know: how cases are run or shown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar, get_args

import pytest

from bench.budget import parse_size
from bench.cases import (
    BACKENDS,
    BENCHES,
    Case,
    Device,
    JitCompile,
    PageCache,
    Precision,
    Protocol,
    plan,
)
from bench.environment import configured_backend
from loaders import LOADERS
from loaders.registry import missing_package

DEFAULT_LOADERS = sorted(name for name, entry in LOADERS.items() if not entry.opt_in)
QUICK = Protocol(rounds=3, round_seconds=0.2, memory_rounds=1, quick=True)
Number = TypeVar("Number", int, float)

QUICK_SAMPLES = "5000"
ALL_SAMPLES = "50000"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The options of a run, checked."""

    cases: dict[str, list[Case]]
    """Name of a benchmark -> its cases."""
    source: str
    data_dir: str | None
    protocol: Protocol
    folder: Path
    """For this run's files."""


def add_options(group: pytest.OptionGroup) -> None:
    """Add the options of the suite to pytest's."""
    default = Protocol()

    def add(name: str, metavar: str, text: str, **kwargs: object) -> None:
        group.addoption(name, metavar=metavar, help=text, **kwargs)

    add(
        "--keras-backends",
        "NAMES",
        f"Comma-separated: {', '.join(BACKENDS)} (default: the one Keras is set to).",
    )
    add("--loaders", "NAMES", f"Comma-separated (default: {','.join(DEFAULT_LOADERS)}).")
    add(
        "--num-workers",
        "NUMBERS",
        "Comma-separated: threads or processes that prepare batches; what they are is said by each "
        "loader, and one without any is measured once (default: 0).",
        default="0",
    )
    add("--batch-sizes", "NUMBERS", "Comma-separated (default: 64).", default="64")
    add("--pixels", "FORMS", "float32, uint8 or both (default: float32).", default="float32")
    add(
        "--device",
        "NAME",
        f"{', '.join(get_args(Device))}: what backends may use (default: auto, an accelerator "
        "where the backend sees one).",
        default="auto",
    )
    add(
        "--precision",
        "POLICIES",
        f"Comma-separated: {', '.join(get_args(Precision))} (default: float32).",
        default="float32",
    )
    add(
        "--jit-compile",
        "CHOICES",
        f"Comma-separated: {', '.join(get_args(JitCompile))} (default: auto, as Keras decides).",
        default="auto",
    )
    add(
        "--steps-per-execution",
        "NUMBERS",
        "Comma-separated: steps in one call of the compiled function (default: 1).",
        default="1",
    )
    add(
        "--page-cache",
        "STATES",
        f"Comma-separated: {', '.join(get_args(PageCache))} (default: warm). cold drops the "
        "source's pages from memory before each round, as after a restart or where the data are "
        "larger than memory.",
        default="warm",
    )
    add(
        "--step-ms",
        "TIMES",
        "Comma-separated, such as 0.5,1,2,5,10: also measures every loader with an emulated "
        "accelerator, whose step takes so many milliseconds and no CPU.",
    )
    group.addoption(
        "--step-cpu",
        action="store_true",
        help="The emulated step keeps one core busy, as training does, instead of sleeping.",
    )
    add(
        "--samples",
        "NUMBERS",
        "Comma-separated: the first samples of a real source, or the size of a synthetic one "
        f"(default: {ALL_SAMPLES}).",
    )
    add(
        "--source",
        "NAME",
        "auto: CIFAR-10 where it is found, else synthetic; cifar10: downloads it where it is not "
        "found; synthetic (default: auto).",
        default="auto",
    )
    add("--data-dir", "PATH", "Folder cifar-10-batches-py, or cifar-10-python.tar.gz.")
    add(
        "--memory-budget",
        "SIZE",
        "Such as 1GiB: what a loader may hold over the baseline in a memory case. One that dies "
        "is a result; the number of samples at which it does is then looked for.",
    )
    add("--rounds", "N", f"Timed rounds of a case (default: {default.rounds}).", type=int)
    add(
        "--round-seconds",
        "SECONDS",
        f"About how long a round lasts (default: {default.round_seconds:g}).",
        type=float,
    )
    add(
        "--seed",
        "N",
        "Of the orders and of synthetic images (default: 0).",
        type=int,
        default=default.seed,
    )
    add("--results-dir", "PATH", "For this run's files (default: results/<UTC time>).", type=Path)
    add(
        "--case-timeout",
        "SECONDS",
        f"Ends a case that takes longer (default: {default.case_timeout_s:g}).",
        type=float,
        default=default.case_timeout_s,
    )
    group.addoption(
        "--quick",
        action="store_true",
        help="A smoke run in under two minutes: few rounds, two loaders for training and memory "
        "unless --loaders is given. Its figures mean little.",
    )


def read_options(config: pytest.Config) -> Settings:
    """Return the options that were given, completed with the defaults.

    Raises:
        ValueError: an option is unknown or out of range; the message lists what is valid.
    """
    get = config.getoption
    quick: bool = get("quick")
    samples = get("samples") or (QUICK_SAMPLES if quick else ALL_SAMPLES)
    loaders = _names(get("loaders") or ",".join(DEFAULT_LOADERS))
    if quick and not get("loaders"):
        # Two are enough to see that training and memory work; each case takes seconds to start.
        few = [name for name in loaders if not missing_package(LOADERS[name].packages)][:2]
    else:
        few = loaders
    steps_ms = _times("--step-ms", get("step_ms")) if get("step_ms") else []
    if get("step_cpu") and not steps_ms:
        raise ValueError("`--step-cpu` says how an emulated step waits; give `--step-ms` too.")
    cases = {
        bench: plan(
            bench,
            backends=_names(get("keras_backends") or configured_backend()),
            num_workers=_numbers("--num-workers", get("num_workers")),
            loaders=loaders if bench == "feed" else few,
            batch_sizes=_numbers("--batch-sizes", get("batch_sizes")),
            pixels=_names(get("pixels")),
            samples=_numbers("--samples", samples),
            device=get("device"),
            precisions=_names(get("precision")),
            jit_compile=_names(get("jit_compile")),
            steps_per_execution=_numbers("--steps-per-execution", get("steps_per_execution")),
            page_cache=_names(get("page_cache")),
            steps_ms=steps_ms,
            step_cpu=get("step_cpu"),
        )
        for bench in BENCHES
    }
    default_folder = config.rootpath / "results" / datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
    folder: Path = get("results_dir") or default_folder
    if (folder / "run.json").exists():
        raise ValueError(f"`--results-dir {folder}` holds a run already; name another folder.")
    return Settings(
        cases=cases,
        source=get("source"),
        data_dir=get("data_dir"),
        protocol=_protocol(config, QUICK if quick else Protocol()),
        folder=folder,
    )


def _protocol(config: pytest.Config, base: Protocol) -> Protocol:
    get = config.getoption
    return Protocol(
        rounds=base.rounds if get("rounds") is None else get("rounds"),
        round_seconds=base.round_seconds if get("round_seconds") is None else get("round_seconds"),
        seed=get("seed"),
        memory_rounds=base.memory_rounds,
        memory_budget_bytes=_size("--memory-budget", get("memory_budget")),
        case_timeout_s=get("case_timeout"),
        quick=base.quick,
    )


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def _size(option: str, text: str | None) -> int | None:
    try:
        return None if text is None else parse_size(text)
    except ValueError as error:
        raise ValueError(f"`{option}`: {error}") from None


def _numbers(option: str, text: str) -> list[int]:
    return _values(option, text, int, "whole numbers")


def _times(option: str, text: str) -> list[float]:
    return _values(option, text, float, "numbers of milliseconds")


def _values(option: str, text: str, read: Callable[[str], Number], what: str) -> list[Number]:
    try:
        numbers = [read(number) for number in text.split(",")]
    except ValueError:
        raise ValueError(f"`{option}` takes {what} separated by commas, got `{text}`.") from None
    for number in numbers:
        if numbers.count(number) > 1:
            raise ValueError(f"`{option}` has {number:g} twice; name it once.")
    return numbers
