"""Validates the command line and turns it into cases, protocol and results folder."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from keras_loader_bench.bench.parent import image_settings as of_images
from keras_loader_bench.bench.parent.given_options import (
    QUICK,
    given_data_dir,
    given_names,
    given_options,
    given_protocol,
    given_values,
    new_folder,
)
from keras_loader_bench.bench.parent.launching import check_ranks, own_rank_of
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
from keras_loader_bench.bench.record.schema import Run
from keras_loader_bench.bench.statistics import MIN_PROCESSES
from keras_loader_bench.loaders import LOADERS
from keras_loader_bench.loaders.encoded.known_images import is_encoded
from keras_loader_bench.loaders.launchers import OwnRank

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

    own_rank: OwnRank | None = None
    """With `--launcher env`, which rank this process is."""


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
        settings = _resumed(config, names)
    elif config.getoption("input"):
        settings = _of_inputs(config, names)
    else:
        settings = _of_loaders(config)
    own = own_rank_of(config, settings.protocol.launcher)
    check_ranks(own, settings.cases)
    return replace(settings, own_rank=own)


def _of_loaders(config: pytest.Config) -> Settings:
    """Return the settings of a run that measures the loaders of this suite."""
    get = config.getoption
    quick: bool = get("quick")
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
    values = given_values(get)
    values["samples"] = parse_values(CASE_OPTIONS["samples"], samples)
    values.setdefault("backend", [configured_backend()])
    values["loader"] = given_names(loaders)
    if encoded:
        of_images.complete(values, get("source"))
    cases = {bench: cases_of(bench, values) for bench in BENCHES}
    base = of_images.PROTOCOL if encoded else Protocol()
    protocol = given_protocol(config, QUICK if quick else base)
    if protocol.processes >= MIN_PROCESSES:  # or its AU has no interval
        for bench in ("feed", "train"):
            cases[bench] += _ceilings(cases[bench])
    return Settings(
        cases=of_modules(config, cases),
        searched=cases["memory"],
        source=get("source"),
        data_dir=given_data_dir(config),
        protocol=protocol,
        folder=new_folder(config),
    )


def _of_inputs(config: pytest.Config, names: Collection[str]) -> Settings:
    """Return the settings of a run that measures users' inputs."""
    get = config.getoption
    if wrong := [f"`{name}`" for name in given_options(config, names) if name not in WITH_INPUT]:
        raise ValueError(
            f"`--input` measures your own input, which {', '.join(wrong)} cannot change; remove "
            "what is no option of inputs."
        )
    values = given_values(get)
    values.setdefault("backend", [configured_backend()])
    if model := get("model"):
        values["model"] = [check_name("--model", model)]
    inputs = given_names(get("input"))
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
        protocol=given_protocol(config, QUICK if get("quick") else INPUTS),
        folder=new_folder(config),
        most_wait=parse_wait(get("fail_if")),
    )


def _ceilings(cases: list[Case]) -> list[Case]:
    """Return the cases that measure the ceiling as a loader: one for each set of options."""
    return list(dict.fromkeys(replace(case, loader=CEILING, num_workers=0) for case in cases))


_FREE = {"--resume", "--dry-run", "--no-report", "--source", "--data-dir", "--fail-if", "--gather"}
"""Options that may be combined with `--resume`."""


def _resumed(config: pytest.Config, names: Collection[str]) -> Settings:
    """Return the settings of a resumed run."""
    folder: Path = config.getoption("resume")
    given = [f"`{name}`" for name in given_options(config, names) if name not in _FREE]
    if given:
        raise ValueError(f"`--resume` uses the options of `{folder}`; remove {', '.join(given)}.")
    run = read_unfinished(folder)
    left = unfinished_cases(run)
    cases = {bench: [case for case in left if case.bench == bench] for bench in BENCHES}
    return Settings(
        cases=of_modules(config, cases),
        searched=[case for case in run.plan if case.bench == "memory"],
        source=config.getoption("source"),
        data_dir=given_data_dir(config),
        protocol=run.protocol,
        folder=folder,
        resumed=run,
        most_wait=parse_wait(config.getoption("fail_if")),
    )
