"""The registry of sources, and how each is prepared.

A new source is a module that writes one (see `loaders.sources.cache.write_source`) and one entry
here. It describes itself: models, ceiling and audit take shape and classes from it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from keras_loader_bench.loaders.sources.cache import remove_leftovers
from keras_loader_bench.loaders.sources.cifar10 import prepare_cifar10
from keras_loader_bench.loaders.sources.cifar10_download import download_cifar10
from keras_loader_bench.loaders.sources.cifar10_find import find_cifar10
from keras_loader_bench.loaders.sources.image_source import (
    ImageSource,
    SourceError,
    Split,
    checked_split,
)
from keras_loader_bench.loaders.sources.repeated import repeat_source
from keras_loader_bench.loaders.sources.synthetic import prepare_synthetic

SPLIT_SAMPLES: dict[Split, int] = {"train": 50_000, "test": 10_000}
"""Rows of CIFAR-10's splits, and of the synthetic ones unless another number is asked for."""


@dataclass(frozen=True, kw_only=True)
class SourceRequest:
    """What is asked of a source."""

    data_dir: Path | str | None
    """Where its files lie; `None`: wherever it finds them."""

    split: Split
    num_samples: int
    """Its first rows; a source that has fewer repeats them on disk."""

    seed: int
    """Of images that are made."""


def prepare_source(
    source: str = "auto",
    *,
    data_dir: Path | str | None = None,
    split: str = "train",
    num_samples: int | None = None,
    seed: int = 0,
) -> ImageSource:
    """Return the source that a person asks for, made where it is not yet in the cache.

    Args:
        source: a key of `SOURCES`.
        data_dir: see `copies_of_cifar10`; not with `synthetic`.
        split: `train` or `test`.
        num_samples: rows, at least 1; as many as CIFAR-10 has unless given.
        seed: of the synthetic images.

    Returns:
        The source, verified.

    Raises:
        SourceError: an argument is out of range, or the data cannot be found, read or stored.
    """
    if source not in SOURCES:
        raise SourceError(f"`source` must be one of {tuple(SOURCES)}, got {source!r}.")
    checked = checked_split(split)
    rows = SPLIT_SAMPLES[checked] if num_samples is None else num_samples
    if rows < 1:
        raise SourceError(f"`num_samples` must be positive, got {num_samples}.")
    remove_leftovers()
    request = SourceRequest(data_dir=data_dir, split=checked, num_samples=rows, seed=seed)
    return SOURCES[source](request)


def _auto(request: SourceRequest) -> ImageSource:
    return _cifar10(request) if find_cifar10(request.data_dir) else _synthetic(request)


def _cifar10(request: SourceRequest) -> ImageSource:
    if find_cifar10(request.data_dir) is None:
        download_cifar10()
    stored, rows = prepare_cifar10(request.data_dir, request.split), request.num_samples
    return repeat_source(stored, rows) if rows > stored.num_samples else stored.head(rows)


def _synthetic(request: SourceRequest) -> ImageSource:
    if request.data_dir is not None:
        raise SourceError(
            "`data_dir` must not be given with the synthetic source, got "
            f"{str(request.data_dir)!r}. Leave it out, or ask for the source `cifar10`."
        )
    return prepare_synthetic(request.num_samples, request.split, request.seed)


SOURCES: dict[str, Callable[[SourceRequest], ImageSource]] = {
    "auto": _auto,  # a local CIFAR-10 where one is found, else synthetic images
    "cifar10": _cifar10,  # a local one, else it is downloaded
    "synthetic": _synthetic,  # no file and no network is needed
}
"""Name of a source -> how it is prepared."""
