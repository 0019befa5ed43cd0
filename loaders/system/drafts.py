"""Writes files whole or not at all, and says in a sentence why not.

Files are drafted in a folder beside the place where they belong, and then moved. What a killed
process has left of such a folder, the next one deletes.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

from keras_loader_bench.loaders.system.owned_folder import owned_folder

PREFIX = ".report-"
"""How the names of folders with drafts begin."""

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class WriteError(OSError):
    """A file cannot be written; the message is one line and names a remedy."""


@contextlib.contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Let what a block could not do in a folder be a `WriteError`."""
    try:
        yield
    except WriteError:
        raise
    except OSError as error:
        remedy = "Make it writable, or name another folder."
        if error.errno in _NO_SPACE:
            remedy = "Free space on its disk."
        # Other libraries have words of their own.
        problem = os.strerror(error.errno) if error.errno else str(error)
        raise WriteError(f"`{folder}` cannot be written to: {problem}. {remedy}") from error


@contextlib.contextmanager
def draft_folder(folder: Path) -> Iterator[Path]:
    """Make a folder in another one; it is deleted at the end.

    Raises:
        WriteError: this, or anything in the block, could not be written.
    """
    with writing_to(folder), owned_folder(folder, PREFIX) as draft:
        yield draft


def write_whole(path: Path, text: str) -> None:
    """Write a file, or leave it as it is.

    Raises:
        WriteError: it could not be written.
    """
    target = path.resolve()  # what a link names, and not the link
    with draft_folder(target.parent) as draft:
        made = draft / target.name
        made.write_text(text, encoding="utf-8", newline="\n")
        made.replace(target)
