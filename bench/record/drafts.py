"""Folders in which reports are drafted, beside `run.json`, before they are moved into place."""

from __future__ import annotations

import contextlib
from pathlib import Path

from keras_loader_bench.loaders.system.owned_folder import owned_folder, remove_abandoned

_PREFIX = ".report-"


def draft_folder(run_folder: Path) -> contextlib.AbstractContextManager[Path]:
    """Make a folder in that of a run; it is deleted at the end."""
    return owned_folder(run_folder, _PREFIX)


def remove_abandoned_drafts(results: Path) -> None:
    """Delete those that killed processes have left in the runs of a folder."""
    with contextlib.suppress(OSError):
        for run in results.glob("*/run.json"):
            remove_abandoned(run.parent, _PREFIX)
