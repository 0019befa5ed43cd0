"""Records of batches and samples by digests, to recognise them later."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Arrays = Mapping[str, npt.NDArray[Any]]
"""The arrays of a batch, or of one sample, by name: `x` and `y`, or `x/left`, `x/right`, `y`."""

MAX_STRANGERS = 64
"""Samples of unknown content whose values are kept, to say how far they are off."""


@dataclass(frozen=True, kw_only=True)
class BatchRecord:
    """One batch, without its values."""

    specs: Mapping[str, str]
    """Name of an array -> dtype and shape, such as `float32 (64, 32, 32, 3)`."""

    sample_specs: Mapping[str, str]
    """Name of an array -> dtype and shape of one sample, such as `float32 (32, 32, 3)`."""

    samples: tuple[bytes, ...]
    """A digest of every sample's values, over all arrays. Arrays that do not agree on the number of
    samples make a batch of one sample."""

    digest: str
    """SHA-256 over name, dtype, shape and bytes of all arrays."""


def record_batch(batch: Arrays) -> BatchRecord:
    """Return the record of one batch.

    Args:
        batch: arrays of shape `(n, ...)`, at least one.
    """
    digest = hashlib.sha256()
    for name, array in batch.items():
        digest.update(f"{name}\0{array.dtype}{array.shape}".encode())
        digest.update(_bytes(array))
    return BatchRecord(
        specs={name: f"{array.dtype} {array.shape}" for name, array in batch.items()},
        sample_specs={name: f"{array.dtype} {array.shape[1:]}" for name, array in batch.items()},
        samples=tuple(_sample_digest(sample) for sample in split(batch)),
        digest=digest.hexdigest(),
    )


def split(batch: Arrays) -> list[Arrays]:
    """Return the samples of a batch."""
    lengths = {len(array) if array.ndim else None for array in batch.values()}
    length = lengths.pop()
    if lengths or length is None:
        return [batch]
    return [{name: array[i] for name, array in batch.items()} for i in range(length)]


class Recorder:
    """Records the batches of one pass.

    Args:
        known: digests of the samples that are expected. Of others, the values are kept.
    """

    def __init__(self, known: Collection[bytes] = ()) -> None:
        self.batches: list[BatchRecord] = []
        """In the order in which they came."""
        self.strangers: dict[bytes, Arrays] = {}
        """Digest -> values of samples that were not expected; `MAX_STRANGERS` at most."""
        self._known = known

    def record(self, batch: Arrays) -> None:
        """Record the next batch."""
        record = record_batch(batch)
        self.batches.append(record)
        if not self._known:
            return
        for digest, sample in zip(record.samples, split(batch), strict=True):
            if len(self.strangers) < MAX_STRANGERS and digest not in self._known:
                self.strangers[digest] = {name: np.array(part) for name, part in sample.items()}


def _sample_digest(sample: Arrays) -> bytes:
    digest = hashlib.blake2b(digest_size=16)
    for name, array in sample.items():
        digest.update(f"{name}\0".encode())  # labels are not sample weights of the same bytes
        digest.update(_bytes(array))
    return digest.digest()


def _bytes(array: npt.NDArray[Any]) -> Any:
    """Return the values of an array in C order."""
    if array.dtype.hasobject:  # strings: their addresses say nothing
        return repr(array.tolist()).encode()
    return np.ascontiguousarray(array).data
