"""Validates the command line and turns it into cases, protocol and results folder."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from keras_loader_bench.bench.parent import image_settings as of_images
from keras_loader_bench.bench.parent.named_modules import choose_ranks, of_modules
from keras_loader_bench.bench.parent.resume import read_unfinished, unfinished_cases
from keras_loader_bench.bench.plan.case import BENCHES, CEILING, Case
from keras_loader_bench.bench.plan.command_line import ALL_SAMPLES, DEFAULT_LOADERS
from keras_loader_bench.bench.plan.default_backend import configured_backend
from keras_loader_bench.bench.plan.inputs import (
    INPUT_BENCHES,
    INPUTS,
    WITH_INPUT,
    cases_of_inputs,
    check_name,
    parse_wait,
    with_remedies,
)
from keras_loader_bench.bench.plan.matrix import cases_of, parse_values
from keras_loader_bench.bench.plan.options import CASE_OPTIONS
from keras_loader_bench.bench.plan.protocol import Protocol
from keras_loader_bench.bench.plan.sizes import given_size
from keras_loader_bench.bench.record.drafts import writing_to
from keras_loader_bench.bench.record.schema import Run
from keras_loader_bench.bench.statistics import MIN_PROCESSES
from keras_loader_bench.loaders import LOADERS
from keras_loader_bench.loaders.encoded.known_images import is_encoded
from keras_loader_bench.loaders.sources.keras_home import expand_user

QUICK = Protocol(
    processes=1,
    rounds=3,
    round_seconds=0.2,
    accelerator_round_seconds=0.2,
    memory_processes=1,
    memory_rounds=1,
    quick=True,
)
QUICK_SAMPLES = "5000"
QUICK_LOADERS = sorted(
    (name for name in DEFAULT_LOADERS if not LOADERS[name].packages),
    key=lambda name: not LOADERS[name].own,
)[:2]
"""Two are enough for a smoke test, as each takes seconds to audit: one of this suite's own and one
of the others, which need no package."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The validated options of a run."""

    cases: dict[str, list[Case]]
    """The cases to run, by benchmark."""

    searched: list[Case]
    """Memory cases to search breaking points for; a resumed run may have run some before."""

    source: str
    data_dir: str | None
    protocol: Protocol
    folder: Path
    """The folder for the files of this run."""

    most_wait: float | None = None
    """Share of its time that training may wait for a user's input; `None`: any."""

    resumed: Run | None = None
    """The content of `run.json` so far, if a run is resumed."""


def read_options(config: pytest.Config, names: Collection[str]) -> Settings:
    """Return the given options, completed with the defaults.

    Args:
        config: pytest's configuration.
        names: the names of all options of the suite.

    Raises:
        ValueError: an option is unknown or out of range; the message lists what is valid.
        WriteError: nobody can see into the results folder.
    """
    of_images.choose_source(config)
    choose_ranks(config)
    if config.getoption("resume"):
        return _resumed(config, names)
    get = config.getoption
    quick: bool = get("quick")
    if get("input"):
        return _of_inputs(config, names)
    for flag in ("--model", "--steps", "--fail-if", "--no-remedies"):
        if get(flag.removeprefix("--").replace("-", "_")):
            remedy = " or use `--models`" if flag == "--model" else ""
            raise ValueError(f"`{flag}` belongs to `--input`; name your input{remedy}.")
    encoded = is_encoded(get("source"))
    if encoded:
        samples, loaders = of_images.images_of(config)
    else:
        of_images.refuse_options(config)
        samples = get("samples") or (QUICK_SAMPLES if quick else ALL_SAMPLES)
        loaders = get("loaders") or ",".join(QUICK_LOADERS if quick else DEFAULT_LOADERS)
    if get("step_cpu") and not get("step_ms"):
        raise ValueError(
            "`--step-cpu` changes emulated steps; add `--step-ms`, such as `--step-ms 1,5`."
        )
    values = _values(get)
    values["samples"] = parse_values(CASE_OPTIONS["samples"], samples)
    values.setdefault("backend", [configured_backend()])
    values["loader"] = _names(loaders)
    if encoded:
        of_images.complete(values, get("source"))
    cases = {bench: cases_of(bench, values) for bench in BENCHES}
    base = of_images.PROTOCOL if encoded else Protocol()
    protocol = _protocol(config, QUICK if quick else base)
    if protocol.processes >= MIN_PROCESSES:  # or its AU has no interval
        for bench in ("feed", "train"):
            cases[bench] += _ceilings(cases[bench])
    return Settings(
        cases=of_modules(config, cases),
        searched=cases["memory"],
        source=get("source"),
        data_dir=_data_dir(config),
        protocol=protocol,
        folder=_new_folder(config),
    )


def _of_inputs(config: pytest.Config, names: Collection[str]) -> Settings:
    """Return the settings of a run that measures users' inputs."""
    get = config.getoption
    if wrong := [f"`{name}`" for name in _given(config, names) if name not in WITH_INPUT]:
        raise ValueError(
            f"`--input` measures your own input, which {', '.join(wrong)} cannot change; remove "
            "what is no option of inputs."
        )
    values = _values(get)
    values.setdefault("backend", [configured_backend()])
    if model := get("model"):
        values["model"] = [check_name("--model", model)]
    inputs = _names(get("input"))
    cases: dict[str, list[Case]] = {bench: [] for bench in BENCHES}
    cases |= {bench: cases_of_inputs(bench, inputs, values) for bench in INPUT_BENCHES}
    if not (get("no_remedies") or get("quick")):
        # Where there is no model of the user's, that of this suite may not take the batches.
        bench = "train" if model else "feed"
        cases[bench] += with_remedies(cases[bench])
    return Settings(
        cases=cases,
        searched=[],
        source=get("source"),
        data_dir=None,
        protocol=_protocol(config, QUICK if get("quick") else INPUTS),
        folder=_new_folder(config),
        most_wait=parse_wait(get("fail_if")),
    )


def _new_folder(config: pytest.Config) -> Path:
    default_folder = config.rootpath / "results" / datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")
    folder: Path = config.getoption("results_dir") or default_folder
    with writing_to(folder):
        there = (folder / "run.json").exists()
    if there:
        raise ValueError(f"`--results-dir {folder}` already contains a run; name another folder.")
    return folder


def _given(config: pytest.Config, names: Collection[str]) -> list[str]:
    """Return the options of the suite that stand on the command line."""
    arguments = [str(each).partition("=")[0] for each in config.invocation_params.args]
    return [each for each in arguments if each in set(names)]


def _ceilings(cases: list[Case]) -> list[Case]:
    """Return the cases that measure the ceiling as a loader: one for each set of options."""
    return list(dict.fromkeys(replace(case, loader=CEILING, num_workers=0) for case in cases))


_FREE = {"--resume", "--dry-run", "--no-report", "--source", "--data-dir", "--fail-if"}
"""Options that may be combined with `--resume`."""


def _resumed(config: pytest.Config, names: Collection[str]) -> Settings:
    """Return the settings of a resumed run."""
    folder: Path = config.getoption("resume")
    given = [f"`{name}`" for name in _given(config, names) if name not in _FREE]
    if given:
        raise ValueError(f"`--resume` uses the options of `{folder}`; remove {', '.join(given)}.")
    run = read_unfinished(folder)
    left = unfinished_cases(run)
    cases = {bench: [case for case in left if case.bench == bench] for bench in BENCHES}
    return Settings(
        cases=of_modules(config, cases),
        searched=[case for case in run.plan if case.bench == "memory"],
        source=config.getoption("source"),
        data_dir=_data_dir(config),
        protocol=run.protocol,
        folder=folder,
        resumed=run,
        most_wait=parse_wait(config.getoption("fail_if")),
    )


def _data_dir(config: pytest.Config) -> str | None:
    data_dir: str | None = config.getoption("data_dir")
    if data_dir is not None and not expand_user(data_dir).exists():
        raise ValueError(
            f"`--data-dir {data_dir}` does not exist; name the folder cifar-10-batches-py or the "
            "file cifar-10-python.tar.gz."
        )
    return data_dir


def _protocol(config: pytest.Config, base: Protocol) -> Protocol:
    get = config.getoption
    given: dict[str, Any] = {
        "processes": get("processes"),
        "memory_processes": get("processes"),
        "rounds": get("rounds"),
        "round_seconds": get("round_seconds"),
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


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",")]


def _values(get: Callable[[str], Any]) -> dict[str, list[Any]]:
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
