"""Reads single options of the command line."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from keras_loader_bench.bench.plan.matrix import parse_values
from keras_loader_bench.bench.plan.options import CASE_OPTIONS
from keras_loader_bench.bench.plan.protocol import Protocol
from keras_loader_bench.bench.plan.sizes import given_size
from keras_loader_bench.bench.record.drafts import writing_to
from keras_loader_bench.bench.record.run_path import run_path
from keras_loader_bench.loaders.sources.keras_home import expand_user

QUICK = Protocol(
    processes=1,
    rounds=3,
    most_rounds=3,
    round_seconds=0.2,
    steady_round_seconds=0.2,
    training_steps=2,
    accelerator_round_seconds=0.2,
    memory_processes=1,
    memory_rounds=1,
    quick=True,
)


def new_folder(config: pytest.Config) -> Path:
    """Return the folder for the files of a new run.

    Raises:
        ValueError: it has those of another run.
        WriteError: nobody can see into it.
    """
    default_folder = config.rootpath / "results" / datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
    folder: Path = config.getoption("results_dir") or default_folder
    with writing_to(folder):
        there = run_path(folder).exists()
    if there:
        raise ValueError(f"`--results-dir {folder}` already contains a run; name another folder.")
    return folder


def given_options(config: pytest.Config, names: Collection[str]) -> list[str]:
    """Return the options of the suite that stand on the command line."""
    arguments = [str(each).partition("=")[0] for each in config.invocation_params.args]
    return [each for each in arguments if each in set(names)]


def given_data_dir(config: pytest.Config) -> str | None:
    """Return where CIFAR-10 lies, if that is given.

    Raises:
        ValueError: there is nothing.
    """
    data_dir: str | None = config.getoption("data_dir")
    if data_dir is not None and not expand_user(data_dir).exists():
        raise ValueError(
            f"`--data-dir {data_dir}` does not exist; name the folder cifar-10-batches-py or the "
            "file cifar-10-python.tar.gz."
        )
    return data_dir


def given_protocol(config: pytest.Config, base: Protocol) -> Protocol:
    """Return a protocol with what is given in its place."""
    get = config.getoption
    given: dict[str, Any] = {
        "processes": get("processes"),
        "memory_processes": get("processes"),
        "rounds": get("rounds"),
        "most_rounds": get("rounds"),
        "round_seconds": get("round_seconds"),
        "steady_round_seconds": get("round_seconds"),
        "accelerator_round_seconds": get("round_seconds"),
    }
    return replace(
        base,
        **{name: value for name, value in given.items() if value is not None},
        new_interpreters=get("new_interpreters"),
        launcher=get("launcher"),
        seed=get("seed"),
        memory_budget_bytes=given_size("--memory-budget", get("memory_budget")),
        case_timeout_s=get("case_timeout"),
        silence_timeout_s=get("silence_timeout"),
    )


def given_names(text: str) -> list[str]:
    """Return the names of a list with commas."""
    return [name.strip() for name in text.split(",")]


def given_values(get: Callable[[str], Any]) -> dict[str, list[Any]]:
    """Return the values of all options that were given or have a default."""
    values = {}
    for name, each in CASE_OPTIONS.items():
        if not each.flag:
            continue
        given = get(each.flag.removeprefix("--").replace("-", "_"))
        if each.kind is bool:
            values[name] = [given]
        elif given is not None:
            single = each.single and each.kind is str
            values[name] = [given] if single else parse_values(each, given)
    return values
