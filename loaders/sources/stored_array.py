"""Checks and maps one uint8 array in a `.npy` file of a source."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, cast

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


def array_offset(path: Path, shape: tuple[int, ...]) -> int:
    """Return where the bytes begin in a `.npy` file that holds exactly this uint8 array."""
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            header = np.lib.format.read_array_header_1_0(file)
            offset, size = file.tell(), os.fstat(file.fileno()).st_size
    except (OSError, ValueError) as error:
        raise unusable(path, f"it cannot be read ({reason(error)})") from error
    if version != (1, 0) or header != (shape, False, np.dtype(np.uint8)):
        raise unusable(path, f"it does not hold a uint8 array of shape {shape}")
    expected = offset + int(np.prod(shape, dtype=object))
    if size != expected:
        raise unusable(path, f"it has {size} bytes instead of {expected}")
    return offset


def load_array(path: Path, *, mmap_mode: Literal["r"]) -> npt.NDArray[np.uint8]:
    """Map a stored array."""
    try:
        return cast("npt.NDArray[np.uint8]", np.load(path, mmap_mode=mmap_mode))
    except (OSError, ValueError) as error:
        raise unusable(path, f"it cannot be read ({reason(error)})") from error


def reason(error: BaseException) -> str:
    """Return what an exception says."""
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
