"""Parses sizes such as `1GiB`, and limits such as `slower=5%`."""

from __future__ import annotations

import re

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(?:([kKMGT])(i?))?(B?)")
_POWERS = "KMGT"


def parse_size(text: str) -> int:
    """Return bytes: `1GiB`, `512 MiB`, `1.5G`, `2GB` (powers of 1000), `1000000`.

    Raises:
        ValueError: it is no size above 0.
    """
    match = _SIZE.fullmatch(text.strip())
    size = 0
    if match:
        number, prefix, binary, unit = match.groups()
        base = 1000 if unit and not binary else 1024  # `1G` is a GiB, as everywhere but on disks
        size = int(float(number) * base ** (_POWERS.index(prefix.upper()) + 1 if prefix else 0))
    if size < 1:
        raise ValueError(f"A size must be a number of bytes such as `1GiB`, got `{text}`.")
    return size


def parse_limit(name: str, text: str, *, example: str) -> float:
    """Return the fraction of a limit such as `slower=5%`.

    Raises:
        ValueError: it has another form, or is 100% or more; the message begins with "must be".
    """
    match = re.fullmatch(rf"{name}=(\d+(?:\.\d+)?)%", text)
    if not match or not float(match[1]) < 100:
        raise ValueError(
            f"must be `{name}=` and a percentage below 100, such as {name}={example}, got `{text}`"
        )
    return float(match[1]) / 100


def given_size(option: str, text: str | None) -> int | None:
    """Return the bytes of an option of the command line; `None`: it was not given.

    Raises:
        ValueError: see `parse_size`; the message names the option.
    """
    try:
        return None if text is None else parse_size(text)
    except ValueError as error:
        raise ValueError(f"`{option}`: {error}") from None
