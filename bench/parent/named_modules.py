"""The benchmarks that are only run where their file is named: they share the cases of others."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

from keras_loader_bench.bench.plan.case import BENCHES, IMAGE_BENCHES, IMAGES, RANKS, Case

NAMED: Mapping[str, tuple[str, tuple[str, ...]]] = MappingProxyType(
    {"bench_images.py": (IMAGES, IMAGE_BENCHES), "bench_ranks.py": (RANKS, BENCHES)}
)
"""File -> the name of its benchmark, and those whose cases it measures."""


def is_named(config: pytest.Config, file: str) -> bool:
    """Return whether a file of benchmarks is asked for by name."""
    paths = (str(each).partition("::")[0] for each in config.invocation_params.args)
    return any(Path(path).name == file for path in paths)


def choose_ranks(config: pytest.Config) -> None:
    """Let `bench_ranks.py` measure one rank and two, unless other numbers are given.

    Raises:
        ValueError: a user's input, or a memory budget, is asked for as well.
    """
    if is_named(config, "bench_ranks.py"):
        if config.getoption("input"):
            raise ValueError("`bench_ranks.py` measures no `--input`; leave out one of the two.")
        if config.option.ranks is None:
            config.option.ranks = "1,2"
    if config.getoption("memory_budget") and config.option.ranks not in (None, "1"):
        raise ValueError(
            f"`--memory-budget` limits one process, and `--ranks {config.option.ranks}` asks for "
            "several; leave out the budget, or give `--ranks 1`."
        )


def of_modules(config: pytest.Config, cases: dict[str, list[Case]]) -> dict[str, list[Case]]:
    """Return the cases of each benchmark by the module that measures them."""
    named = {
        name: [case for bench in benches for case in cases[bench]]
        for file, (name, benches) in NAMED.items()
        if is_named(config, file)
    }
    return named or cases
