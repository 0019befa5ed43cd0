"""Declares the command line: the options of a case, from their table, and those of a run."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from keras_loader_bench.bench.plan.inputs import INPUTS, WITH_INPUT
from keras_loader_bench.bench.plan.options import CASE_OPTIONS
from keras_loader_bench.bench.plan.protocol import Protocol
from keras_loader_bench.loaders import LOADERS
from keras_loader_bench.loaders.launchers import LAUNCHERS

DEFAULT_LOADERS = sorted(name for name, entry in LOADERS.items() if not entry.opt_in)

ALL_SAMPLES = "50000"


def add_options(group: Any, default: Protocol = Protocol()) -> list[str]:  # noqa: B008 - frozen
    """Add the options of the suite to a group, and return their names.

    Args:
        group: a `pytest.OptionGroup`, or what has its `addoption` and `options`.
        default: the protocol whose figures are named as defaults.
    """

    def add(name: str, metavar: str, text: str, **kwargs: object) -> None:
        group.addoption(name, metavar=metavar, help=text, **kwargs)

    for each in CASE_OPTIONS.values():
        if not each.flag:
            continue
        if each.kind is bool:
            group.addoption(each.flag, action="store_true", help=each.help)
        else:
            add(each.flag, each.metavar, each.help, default=each.given)
    add(
        "--input",
        "NAMES",
        "Measure your own inputs of `fit` instead of this suite's loaders: comma-separated names "
        "such as train:make_data, a PyDataset, tf.data dataset, torch DataLoader, Grain dataset or "
        "a function without arguments that makes one, or a generator.",
    )
    add(
        "--model",
        "NAME",
        "With --input: your compiled model, or a function that makes it, such as train:make_model "
        "(default: the suite's CNN, where batches are images).",
    )
    group.addoption(
        "--no-remedies",
        action="store_true",
        help="With --input: do not try what could make it faster.",
    )
    add(
        "--fail-if",
        "wait=20%",
        "With --input: exit with 1 if training waits for data for so much of its time, beyond the "
        "interval; with 3 if that cannot be told.",
    )
    add(
        "--source",
        "NAME",
        "auto: CIFAR-10 if it is found, else synthetic images; cifar10: CIFAR-10, downloaded if "
        "needed; synthetic; or encoded images, which have loaders of their own: photographs "
        "(synthetic JPEGs), camera-photographs, folder:PATH with a folder per class (default: "
        "auto).",
        default="auto",
    )
    add(
        "--data-dir",
        "PATH",
        "CIFAR-10: the folder cifar-10-batches-py or the file cifar-10-python.tar.gz.",
    )
    add(
        "--memory-budget",
        "SIZE",
        "Memory that a loader may use over the baseline in a memory case, such as 1GiB. A loader "
        "that exceeds it does not fail the run; the limit in samples is then searched for.",
    )
    add(
        "--processes",
        "N",
        f"Processes per case, spread over the run (default: {default.processes}, for memory "
        f"{default.memory_processes}).",
        type=int,
    )
    group.addoption(
        "--new-interpreters",
        action="store_true",
        help="Start a new Python for every process, instead of forking it from one that has "
        "imported the framework. Slower; figures should be the same.",
    )
    group.addoption(
        "--launcher",
        choices=LAUNCHERS,
        default=default.launcher,
        help="How ranks are started: local, processes of this machine; ray, rank 0 here and the "
        "others on nodes of the cluster of RAY_ADDRESS, or on one that is started here; env, "
        "where torchrun, srun or mpirun has started this command, once for each rank "
        f"(default: {default.launcher}).",
    )
    add(
        "--gather",
        "FOLDER",
        "With `--launcher env`: a folder that all ranks see, in which they meet.",
        type=Path,
    )
    add(
        "--rounds",
        "N",
        f"Timed rounds per process (default: {default.rounds}, and up to {default.most_rounds} "
        "where an epoch is shorter than a round).",
        type=int,
    )
    add(
        "--round-seconds",
        "SECONDS",
        f"Approximate length of a round (default: {default.round_seconds:g}; on a CPU "
        f"{default.steady_round_seconds:g} for training, and for emulated steps anywhere; on an "
        f"accelerator at least {default.accelerator_round_seconds:g}).",
        type=float,
    )
    add(
        "--seed",
        "N",
        "Seed of the sample order and of synthetic images (default: 0).",
        type=int,
        default=default.seed,
    )
    add(
        "--results-dir",
        "PATH",
        "Folder for the files of this run (default: results/<UTC time>).",
        type=Path,
    )
    group.addoption(
        "--no-report",
        action="store_true",
        help="Write only run.json; `keras-loader-bench report FOLDER` makes the report, anywhere.",
    )
    add(
        "--case-timeout",
        "SECONDS",
        f"Time limit per case (default: {default.case_timeout_s:g}).",
        type=float,
        default=default.case_timeout_s,
    )
    add(
        "--silence-timeout",
        "SECONDS",
        "End a case whose loader gives no batch, and whose process answers nothing, for so long "
        f"(default: {default.silence_timeout_s:g}).",
        type=float,
        default=default.silence_timeout_s,
    )
    group.addoption(
        "--quick",
        action="store_true",
        help="A smoke run of about a minute and a half: few rounds, and two loaders "
        "unless --loaders is given. Its numbers mean little.",
    )
    add(
        "--resume",
        "FOLDER",
        "Continue an unfinished run: run its missing and failed cases with its own "
        "options. Only `--source` and `--data-dir` may be given too.",
        type=Path,
    )
    group.addoption(
        "--dry-run",
        action="store_true",
        help="List the cases and estimate the time, without measuring.",
    )
    return [name for option in group.options for name in option.names()]


class _OfInputs:
    """A group that gives the options of inputs to a parser, and no others."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._parser = parser
        self.options: list[Any] = []

    def addoption(self, *names: str, **about: Any) -> None:
        if names[0] in {*WITH_INPUT, "--resume"} - {"--input"}:
            about.pop("default", None)
            text = about["help"].removeprefix("With --input: ")
            about["help"] = text[:1].upper() + text[1:]
            self._parser.add_argument(*names, **about)


def usage_of_inputs(*, whole: bool) -> str:
    """Return how `keras-loader-bench input` is called.

    Args:
        whole: with what each option does.
    """
    parser = argparse.ArgumentParser(
        prog="keras-loader-bench input",
        usage="%(prog)s MODULE:ATTRIBUTE ... [--model MODULE:ATTRIBUTE] [options]",
        description="Measures whatever `fit` takes, such as train:make_data: a PyDataset, a "
        "tf.data dataset, a torch DataLoader, a Grain dataset, arrays, or a function that makes "
        "one.",
        add_help=False,
    )
    add_options(_OfInputs(parser), INPUTS)
    return parser.format_help() if whole else f"{parser.format_usage()}\n{parser.description}"
