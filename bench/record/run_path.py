"""Where a folder holds its run."""

from __future__ import annotations

from pathlib import Path


def run_path(folder: Path) -> Path:
    """Return `run.json` of a folder, or its `run.json.gz` if only that is there."""
    plain, packed = folder / "run.json", folder / "run.json.gz"
    return packed if packed.exists() and not plain.exists() else plain
