"""Ranks that others have started find each other by files, and talk over connections.

Both come from `multiprocessing`: nobody is answered who has not read the key in the file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection
from pathlib import Path
from typing import Any


class RankError(ValueError):
    """This process is no rank, or the ranks do not find each other; the message says why."""


def connect(file: Path) -> Connection[Any, Any]:
    """Connect to the rank that left a file.

    Raises:
        RankError: it does not answer.
    """
    found = json.loads(file.read_text())
    host, port = found["address"]
    try:
        return Client((host, port), authkey=bytes.fromhex(found["key"]))
    except (OSError, AuthenticationError) as error:
        raise RankError(
            f"the rank that left `{file}` does not answer at {host}:{port}: {error}; delete the "
            "file if it is of an earlier run."
        ) from None


def file_of(folder: Path, rank: int) -> Path:
    """Return the file that a rank leaves in the folder."""
    return folder / f"rank-{rank}.json"


def leave(file: Path, content: Mapping[str, Any]) -> None:
    """Write a file that nobody else may read, and that others see in full or not at all."""
    draft = file.with_suffix(".draft")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as opened:
        json.dump(content, opened)
    draft.replace(file)
