"""Records of batches and samples by digests, to recognise them later."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from keras_loader_bench.loaders.audit.batches.fields import (
    Field,
    as_bytes,
    as_dtype,
    numbers,
    samples_of_field,
)

Arrays = Mapping[str, Field]
"""The fields of a batch, or of one sample, by name: `x` and `y`, or `x/left`, `x/right`, `y`."""

View = Literal["all", "inputs", "labels"]
"""By what samples are recognised: all fields, `x` alone, or everything but `x`."""

MAX_STRANGERS = 64
"""Samples of unknown content whose values are kept, to say how far they are off."""

DIGEST_BYTES = 16
"""Of SHA-256: processors compute it, so that it takes half the time of BLAKE2b."""


@dataclass(frozen=True, kw_only=True)
class BatchRecord:
    """One batch, without its values."""

    specs: Mapping[str, str]
    """Name of a field -> dtype and shape, such as `float32 (64, 32, 32, 3)`."""

    sample_specs: Mapping[str, str]
    """Name of a field -> dtype and shape of one sample, such as `float32 (32, 32, 3)`."""

    samples: tuple[bytes, ...]
    """A digest of every sample's values, over all fields. Fields that do not agree on the number of
    samples make a batch of one sample."""

    inputs: tuple[bytes, ...]
    """The same over `x` alone."""

    labels: tuple[bytes, ...]
    """The same over everything but `x`."""

    digest: str
    """SHA-256 over name, dtype, shape and content of all fields; see `record_batch`."""

    def seen(self, view: View) -> BatchRecord:
        """Return the record of what a view shows."""
        if view == "all" or (view == "inputs" and not any(map(_is_label, self.specs))):
            return self
        if view == "labels":
            return replace(self, samples=self.labels, digest=_derived(self.specs, self.labels))
        specs, sample_specs = (
            {name: spec for name, spec in each.items() if not _is_label(name)}
            for each in (self.specs, self.sample_specs)
        )
        return replace(
            self,
            specs=specs,
            sample_specs=sample_specs,
            samples=self.inputs,
            digest=_derived(specs, self.inputs),
        )


def is_part_of(name: str, field: str) -> bool:
    """Return whether a name, such as `x/left`, is that of a field, such as `x`, or within it."""
    return name == field or name.startswith(f"{field}/")


def _is_label(name: str) -> bool:
    return not is_part_of(name, "x")


def record_batch(
    batch: Arrays, *, content: Arrays | None = None, whole: bool = False
) -> BatchRecord:
    """Return the record of one batch.

    Args:
        batch: fields of shape `(n, ...)`, at least one.
        content: the fields by which samples are recognised; `None`: all.
        whole: whether the batch's digest is made from its bytes, a second time, as `run.json` keeps
            it. Otherwise it is made from the digests of the samples.
    """
    content = batch if content is None else content
    specs = {name: f"{field.dtype} {field.shape}" for name, field in batch.items()}
    x = {name: field for name, field in content.items() if not _is_label(name)}
    y = {name: field for name, field in content.items() if _is_label(name)}
    # `x` alone may have samples where `x` and `y` do not agree on their number.
    inputs = _digests(num_samples({n: f for n, f in batch.items() if not _is_label(n)}), x)
    labels = _digests(count := num_samples(batch), y)
    if y:
        # A digest of digests: no byte is hashed twice.
        same = len(inputs) == count
        both = inputs if same else _digests(count, x)
        samples = tuple(_short(one + other) for one, other in zip(both, labels, strict=True))
    else:
        samples = inputs if len(inputs) == count else _digests(count, x)
    return BatchRecord(
        specs=specs,
        sample_specs={name: f"{field.dtype} {field.shape[1:]}" for name, field in batch.items()},
        samples=samples,
        inputs=inputs,
        labels=labels,
        digest=_of_bytes(batch) if whole else _derived(specs, samples),
    )


def num_samples(batch: Arrays) -> int:
    """Return the number of samples; fields that do not agree on it are one sample."""
    lengths = {len(field) if field.ndim else None for field in batch.values()}
    length = lengths.pop() if len(lengths) == 1 else None
    return 1 if length is None else length


def _digests(count: int, fields: Arrays) -> tuple[bytes, ...]:
    """Return a digest of each sample over some fields."""
    agreed = all(field.ndim and len(field) == count for field in fields.values())
    parts: list[tuple[bytes, Sequence[Any]]] = [
        # The name is hashed too: labels are not sample weights of the same bytes.
        (f"{name}\0".encode(), samples_of_field(field) if agreed else [b"".join(_all(field))])
        for name, field in fields.items()
    ]
    digests = []
    for i in range(count):
        digest = hashlib.sha256()
        for name, samples in parts:
            digest.update(name)
            digest.update(samples[i])
        digests.append(digest.digest()[:DIGEST_BYTES])
    return tuple(digests)


def _all(field: Field) -> Sequence[Any]:
    return samples_of_field(field) if field.ndim else [as_bytes(numbers(field))]


def _short(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()[:DIGEST_BYTES]


def _of_bytes(batch: Arrays) -> str:
    digest = hashlib.sha256()
    for name, field in batch.items():
        digest.update(f"{name}\0{field.dtype}{field.shape}".encode())
        whole = [as_bytes(field)] if isinstance(field, np.ndarray) else samples_of_field(field)
        for part in whole:
            digest.update(part)
    return digest.hexdigest()


def _derived(specs: Mapping[str, str], samples: Sequence[bytes]) -> str:
    form = "; ".join(f"{name}: {spec}" for name, spec in specs.items())
    return hashlib.sha256(form.encode() + b"\0" + b"".join(samples)).hexdigest()


def sample_at(batch: Arrays, i: int) -> Arrays:
    """Return the values of one sample, without those of uneven fields.

    Args:
        batch: fields that agree on the number of samples, or a batch of one sample.
        i: its number.
    """
    lengths = {len(field) if field.ndim else None for field in batch.values()}
    agreed = len(lengths) == 1 and None not in lengths
    return {
        name: np.array(field[i] if agreed else field)
        for name, field in batch.items()
        if isinstance(field, np.ndarray)
    }


class Recorder:
    """Records the batches of one pass.

    Args:
        known: digests of the samples that are expected. Of others, the values are kept.
        dtypes: name of a field -> the dtype that the input yields. Values that were given in
            another one, unchanged, are recorded as the input yields them.
        identify: returns the fields by which the samples of a batch are recognised.
        whole: see `record_batch`.
    """

    def __init__(
        self,
        known: Collection[bytes] = (),
        *,
        dtypes: Mapping[str, Any] | None = None,
        identify: Callable[[Arrays], Arrays] | None = None,
        whole: bool = False,
    ) -> None:
        self.batches: list[BatchRecord] = []
        """In the order in which they came."""
        self.strangers: dict[bytes, Arrays] = {}
        """Digest -> values of samples that were not expected; `MAX_STRANGERS` at most."""
        self.given: dict[str, str] = {}
        """Name of a field -> the dtype that the model was given, where the input yields another."""
        self._known = known
        self._dtypes = dtypes or {}
        self._identify = identify
        self._whole = whole

    def record(self, batch: Arrays) -> None:
        """Record the next batch."""
        yielded = {name: self._as_yielded(name, field) for name, field in batch.items()}
        content = self._identify(yielded) if self._identify else None
        record = record_batch(yielded, content=content, whole=self._whole)
        self.batches.append(record)
        if not self._known:
            return
        for i, digest in enumerate(record.samples):
            if len(self.strangers) < MAX_STRANGERS and digest not in self._known:
                self.strangers[digest] = sample_at(batch, i)

    def _as_yielded(self, name: str, field: Field) -> Field:
        wanted = self._dtypes.get(name)
        if wanted is None or field.dtype == wanted:
            return field
        back = as_dtype(field, wanted)
        if back is not field or str(wanted).startswith("ragged"):
            self.given.setdefault(name, str(field.dtype))
        return back
