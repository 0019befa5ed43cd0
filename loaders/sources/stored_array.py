"""Checks and maps one array in a `.npy` file of a source."""

from __future__ import annotations

import hashlib
import io
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


class SourceError(ValueError):
    """The data cannot be used. The message names the file, what is wrong and the remedy."""


def unusable(path: Path, problem: str) -> SourceError:
    """Return the error that a file of a source cannot be used."""
    return SourceError(
        f"`{path}` is not part of a usable source: {problem}. Prepare the source again, or delete "
        f"`{path.parent}` if it was made by hand."
    )


def npy_header(shape: tuple[int, ...], dtype: npt.DTypeLike = np.uint8) -> bytes:
    """Return what precedes the bytes of an array in a `.npy` file."""
    header = io.BytesIO()
    description = {"descr": np.dtype(dtype).str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, description)
    return header.getvalue()


def array_offset(path: Path, shape: tuple[int, ...], dtype: npt.DTypeLike = np.uint8) -> int:
    """Return where the bytes begin in a `.npy` file that holds exactly this array.

    The header is not parsed: it has to be the one that this array was written with.
    """
    header = npy_header(shape, dtype)
    try:
        with path.open("rb") as file:
            found, size = file.read(len(header)), os.fstat(file.fileno()).st_size
    except OSError as error:
        raise unusable(path, f"it cannot be read ({reason(error)})") from error
    if found != header:
        raise unusable(path, f"it does not hold a {np.dtype(dtype)} array of shape {shape}")
    expected = len(header) + math.prod(shape) * np.dtype(dtype).itemsize
    if size != expected:
        raise unusable(path, f"it has {size} bytes instead of {expected}")
    return len(header)


def load_array(
    path: Path, shape: tuple[int, ...], dtype: npt.DTypeLike = np.uint8
) -> np.memmap[Any, np.dtype[Any]]:
    """Map a stored array."""
    return map_bytes(path, array_offset(path, shape, dtype), shape, dtype)


def map_bytes(
    path: Path, offset: int, shape: tuple[int, ...], dtype: npt.DTypeLike = np.uint8
) -> np.memmap[Any, np.dtype[Any]]:
    """Map what lies in a file from some byte on."""
    try:
        return np.memmap(path, dtype=dtype, mode="r", offset=offset, shape=shape)
    except (OSError, ValueError) as error:
        raise unusable(path, f"it cannot be read ({reason(error)})") from error


def check_sha256(parts: list[tuple[Path, int]], sha256: str) -> None:
    """Compare the SHA-256 of files, one after another, with what it should be.

    Args:
        parts: each file and the byte that is the first one of interest.
        sha256: in hexadecimal.

    Raises:
        SourceError: it is another one.
    """
    digest = hashlib.sha256()
    for path, start in parts:
        with path.open("rb") as file:
            file.seek(start)
            hashlib.file_digest(file, lambda: digest)
    if (found := digest.hexdigest()) != sha256:
        raise unusable(path, f"its SHA-256 is {found}, the description says {sha256}")


def reason(error: BaseException) -> str:
    """Return what an exception says."""
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__


def check_head(num_samples: int, stored: int, what: str) -> None:
    """Make sure that a number of first rows can be taken.

    Args:
        num_samples: how many.
        stored: how many there are.
        what: has them, such as `the train split of cifar10`.

    Raises:
        SourceError: `num_samples` is out of range.
    """
    if not 1 <= num_samples <= stored:
        raise SourceError(
            f"`num_samples` must be between 1 and {stored}, the size of {what}, got {num_samples}."
        )
