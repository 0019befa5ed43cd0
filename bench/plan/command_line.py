"""Declares the command line: the options of a case from their table, and those of a run.

Must not know: which values make sense, how cases are run or shown.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from keras_loader_bench.bench.plan.options import CASE_OPTIONS
from keras_loader_bench.bench.plan.protocol import Protocol
from keras_loader_bench.loaders import LOADERS

DEFAULT_LOADERS = sorted(name for name, entry in LOADERS.items() if not entry.opt_in)

ALL_SAMPLES = "50000"


def add_options(group: pytest.OptionGroup) -> list[str]:
    """Add the options of the suite to pytest's, and return their names."""
    default = Protocol()

    def add(name: str, metavar: str, text: str, **kwargs: object) -> None:
        group.addoption(name, metavar=metavar, help=text, **kwargs)

    for each in CASE_OPTIONS.values():
        if each.kind is bool:
            group.addoption(each.flag, action="store_true", help=each.help)
        else:
            add(each.flag, each.metavar, each.help, default=each.given)
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
