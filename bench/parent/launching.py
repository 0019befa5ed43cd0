"""Processes of `--launcher env`: which rank this one is, and what it does if it is not rank 0."""

from __future__ import annotations

import os

import pytest

from keras_loader_bench.bench.plan.case import Case
from keras_loader_bench.bench.sensors.card_monitor import count_cards
from keras_loader_bench.bench.sensors.visible_devices import environment_of_own_rank
from keras_loader_bench.loaders.launchers import OwnRank


def own_rank_of(config: pytest.Config, launcher: str) -> OwnRank | None:
    """Return which rank this process is; `None`: ranks are started by this suite.

    Args:
        config: pytest's configuration.
        launcher: that of the run.

    Raises:
        ValueError: `--gather` is missing or has no use, or this process is no rank.
    """
    folder = config.getoption("gather")
    if (launcher == "env") != (folder is not None):
        raise ValueError("`--launcher env` needs `--gather FOLDER`, and nothing else does.")
    if folder is None:
        return None
    return OwnRank.of(environment_of_own_rank(os.environ, count_cards(os.environ)), folder)


def check_ranks(own: OwnRank | None, cases: dict[str, list[Case]]) -> None:
    """Check that there are as many ranks as cases need.

    Raises:
        ValueError: there are fewer.
    """
    most = max((case.ranks for of_bench in cases.values() for case in of_bench), default=1)
    if own is not None and most > own.ranks:
        raise ValueError(
            f"`--ranks {most}` needs as many processes, and WORLD_SIZE is {own.ranks}; start more, "
            "or ask for fewer."
        )


def serve_if_other(own: OwnRank | None, config: pytest.Config) -> None:
    """Be one of the ranks that rank 0 asks, and end pytest then; do nothing on rank 0.

    Raises:
        ValueError: rank 0 does not come.
        pytest.exit.Exception: this process has done what it was started for.
    """
    if own is None or own.rank == 0:
        return
    name = f"Rank {own.rank} of {own.ranks}"
    if config.getoption("dry_run") or config.option.collectonly:
        pytest.exit(f"{name}: rank 0 lists the cases.", returncode=0)
    if own.serve():
        pytest.exit(f"{name}: rank 0 has the report.", returncode=0)
    pytest.exit(f"{name}: rank 0 ended without a word.", returncode=1)
