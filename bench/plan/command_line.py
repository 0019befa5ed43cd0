"""The suite's command line: what can be asked for.

Must not know: what of it makes sense, how cases are run or shown.
"""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from keras_loader_bench.bench.plan.case import BACKENDS, Device, JitCompile, PageCache, Precision
from keras_loader_bench.bench.plan.protocol import Protocol
from keras_loader_bench.loaders import LOADERS

DEFAULT_LOADERS = sorted(name for name, entry in LOADERS.items() if not entry.opt_in)

ALL_SAMPLES = "50000"


def add_options(group: pytest.OptionGroup) -> list[str]:
    """Add the options of the suite to pytest's, and return their names."""
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
        f"About how long a round lasts (default: {default.round_seconds:g}; on an accelerator at "
        f"least {default.accelerator_round_seconds:g}).",
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
    group.addoption(
        "--no-report",
        action="store_true",
        help="Write run.json alone; `keras-loader-bench report FOLDER` makes the report, anywhere.",
    )
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
    add(
        "--resume",
        "FOLDER",
        "Goes on with a run that was cut short: runs its cases that are missing or failed, with "
        "its own options; give only `--source` and `--data-dir` again.",
        type=Path,
    )
    group.addoption(
        "--dry-run",
        action="store_true",
        help="Print the cases and how long they would take, and measure nothing.",
    )
    return [name for option in group.options for name in option.names()]
