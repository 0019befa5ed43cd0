"""The other editions of CIFAR-10, and CIFAR-100, by the names of their files; none is read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path, PurePath

_BINARY, _MATLAB = "the binary edition of CIFAR-10", "the MATLAB edition of CIFAR-10"
_CIFAR100 = "CIFAR-100"

_NAMES = (
    (re.compile(r"cifar-?100.*", re.IGNORECASE), _CIFAR100),
    (re.compile(r"cifar-10-(batches-bin|binary).*|(data|test)_batch.*\.bin"), _BINARY),
    (re.compile(r"cifar-10-(batches-mat|matlab).*|(data|test)_batch.*\.mat"), _MATLAB),
)
"""Files, folders and archives that no other edition has."""


def edition_of_member(name: str) -> str | None:
    """Return the other edition that a member of an archive belongs to; `None`: to none."""
    return next(filter(None, map(_edition_of_name, PurePath(name).parts)), None)


def edition_in(folders: Iterable[Path]) -> str | None:
    """Return the other edition that lies in one of some folders; `None`: there is none."""
    for folder in folders:
        paths = list(folder.iterdir()) if folder.is_dir() else []
        stems = {path.stem for path in paths if path.is_file()}
        if {"train", "test"} < stems and stems & {"meta", "fine_label_names"}:
            return _CIFAR100
        if found := next(filter(None, (_edition_of_name(path.name) for path in paths)), None):
            return found
    return None


def _edition_of_name(name: str) -> str | None:
    return next((edition for pattern, edition in _NAMES if pattern.fullmatch(name)), None)
