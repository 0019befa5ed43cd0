"""Ways to start the processes of several ranks: on this machine, on Ray, or where others did."""

from __future__ import annotations

from keras_loader_bench.loaders.launchers.launch import (
    LAUNCHERS,
    LOCAL,
    RELAYS,
    Launcher,
    LauncherError,
    LauncherName,
    launcher,
)
from keras_loader_bench.loaders.launchers.meeting import RankError
from keras_loader_bench.loaders.launchers.own_rank import OwnRank

__all__ = [
    "LAUNCHERS",
    "LOCAL",
    "RELAYS",
    "Launcher",
    "LauncherError",
    "LauncherName",
    "OwnRank",
    "RankError",
    "launcher",
]
