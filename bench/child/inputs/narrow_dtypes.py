"""Finds arrays that a narrower dtype would hold exactly: fewer bytes to move to the device."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from keras_loader_bench.loaders.audit.batches.recording import as_arrays
from keras_loader_bench.loaders.system.text import shown

NARROW = ("uint8", "float16", "float32")
"""From the narrowest to the widest."""

FLOATS = ("float32", "float64")
"""What is looked at."""

LEAST_BYTES = 2**16
"""Of an array of a batch; moving a smaller one takes no time that could be saved."""


class NarrowDtypes:
    """What is known of the arrays of some batches.

    Args:
        most: batches that are looked at; each takes several times as long as copying it.
    """

    def __init__(self, most: int = 8) -> None:
        self._left = most
        self._found: dict[str, str | None] = {}

    def see(self, batch: Any) -> None:
        """Look at a batch, unless enough of them were seen."""
        if not self._left:
            return
        self._left -= 1
        for name, array in as_arrays(batch).items():
            if not isinstance(array, np.ndarray) or str(array.dtype) not in FLOATS:
                continue
            if array.nbytes >= LEAST_BYTES:
                start = self._found.get(name, NARROW[0])
                self._found[name] = None if start is None else narrowest(array, start)

    def found(self) -> dict[str, str]:
        """Return name of an array -> the narrowest dtype that holds all values that were seen."""
        return {shown(name): dtype for name, dtype in self._found.items() if dtype}


def narrowest(array: npt.NDArray[Any], start: str = NARROW[0]) -> str | None:
    """Return the narrowest dtype that holds the values of an array exactly; `None`: its own.

    Args:
        array: float32 or float64, any shape.
        start: the first of `NARROW` to try.
    """
    for dtype in NARROW[NARROW.index(start) :]:
        if np.dtype(dtype).itemsize < array.dtype.itemsize and _holds(dtype, array):
            return dtype
    return None


def _holds(dtype: str, array: npt.NDArray[Any]) -> bool:
    if dtype == "uint8" and not (array.min() >= 0 and array.max() <= 255):  # nor what is no number
        return False
    with np.errstate(over="ignore"):
        narrow = array.astype(dtype)
    return bool(np.array_equal(narrow.astype(array.dtype), array, equal_nan=dtype != "uint8"))
