"""The description of a source or container: a JSON file that names its own SHA-256."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from keras_loader_bench.loaders.sources.stored_array import reason, unusable

Checks = Mapping[str, Callable[[Any], bool]]
"""Key of a description -> whether a value may stand there."""

_MAX_BYTES = 2**24
_DIGEST = "sha256"


def signed(description: Mapping[str, Any], version: int) -> str:
    """Return the text of a description's file.

    Args:
        description: what JSON can hold.
        version: of the format, raised when files change their meaning.
    """
    text = {"format": version, **description}
    return json.dumps(text | {_DIGEST: _digest(text)}, indent=2) + "\n"


def read_signed(path: Path, version: int, checks: Checks) -> dict[str, Any]:
    """Return what `signed` was given.

    Args:
        path: the file.
        version: of the format that is understood.
        checks: of its keys, all of them.

    Raises:
        SourceError: the file cannot be read, was changed, or holds something else.
    """
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(_MAX_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise unusable(path, f"it cannot be read ({reason(error)})") from error
    digest = found.pop(_DIGEST, None) if isinstance(found, dict) else None
    if digest is not None and digest != _digest(found):
        raise unusable(path, "it has been changed: its SHA-256 is another one")
    valid = digest is not None and found.pop("format", None) == version
    if not valid or found.keys() != checks.keys():
        raise unusable(path, f"it is not a description of format {version}")
    for key, check in checks.items():
        if not check(found[key]):
            raise unusable(path, f"it has no valid `{key}`")
    return dict(found)


def _digest(description: Mapping[str, Any]) -> str:
    """Return the SHA-256 of a description without its own digest."""
    text = json.dumps(description, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def key_of(inputs: Mapping[str, str]) -> str:
    """Return 16 hexadecimal digits that tell apart, in names, what was made from other inputs."""
    return hashlib.sha256(repr(sorted(inputs.items())).encode()).hexdigest()[:16]


def is_text(value: object) -> bool:
    """Whether it is text that can be printed, and not empty."""
    return isinstance(value, str) and value.isprintable() and value != ""


def is_list_of_text(value: object) -> bool:
    """Whether it is a list of such text, and not empty."""
    return isinstance(value, list) and bool(value) and all(map(is_text, value))


def is_dict_of_text(value: object) -> bool:
    """Whether it is an object whose values are such text."""
    return isinstance(value, dict) and all(map(is_text, value.values()))


def is_positive(value: object) -> bool:
    """Whether it is an integer of at least 1."""
    return type(value) is int and value >= 1


def is_sha256(value: object) -> bool:
    """Whether it is a SHA-256 in hexadecimal."""
    return isinstance(value, str) and len(value) == 64 and set(value) <= set("0123456789abcdef")
