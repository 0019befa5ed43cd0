"""Writes the files of runs and reports whole or not at all; see `loaders.system.drafts`."""

from __future__ import annotations

import contextlib
from pathlib import Path

from keras_loader_bench.loaders.system.drafts import (
    PREFIX,
    WriteError,
    draft_folder,
    write_whole,
    writing_to,
)
from keras_loader_bench.loaders.system.owned_folder import remove_abandoned

__all__ = [
    "WriteError",
    "draft_folder",
    "remove_abandoned_drafts",
    "write_whole",
    "writing_to",
]


def remove_abandoned_drafts(results: Path) -> None:
    """Delete those that killed processes have left in the runs of a folder."""
    with contextlib.suppress(OSError):
        for run in results.glob("*/run.json"):
            remove_abandoned(run.parent, PREFIX)
