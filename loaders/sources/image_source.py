"""`ImageSource`: stored images and labels, read by row.

A source is a folder with `images.npy`, `labels.npy` and `source.json`. It is checked when it is
opened, and its pickle holds its path only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self, cast, get_args

import numpy as np
import numpy.typing as npt

from keras_loader_bench.loaders.sources.description import (
    Checks,
    is_dict_of_text,
    is_list_of_text,
    is_positive,
    is_sha256,
    is_text,
    read_signed,
    signed,
)
from keras_loader_bench.loaders.sources.stored_array import (
    SourceError,
    array_offset,
    check_head,
    check_sha256,
    load_array,
)

__all__ = ["Edition", "ImageSource", "SourceError", "Split", "checked_split", "describe"]

Split = Literal["train", "test"]
Edition = Literal["official", "unofficial", "synthetic"]

IMAGES_FILE = "images.npy"
LABELS_FILE = "labels.npy"
DESCRIPTION_FILE = "source.json"

FORMAT_VERSION = 3
"""Raised when the files of a source change their meaning; older folders are then made again."""


@dataclass(frozen=True, kw_only=True)
class ImageSource:
    """Images and labels that lie in a folder; rows are read when they are needed.

    A source is a description of less than 2 KiB: it can be pickled and sent to a worker, which maps
    the files itself. It holds no open file before `images` is first used.
    """

    folder: Path
    """Where `images.npy`, `labels.npy` and `source.json` lie; an absolute path."""

    name: str
    """`cifar10` or `synthetic`."""

    split: Split
    """`train` or `test`."""

    edition: Edition
    """`official`: every input has the published checksum. `unofficial`: other CIFAR-10 files."""

    class_names: tuple[str, ...]
    """The name of every label; label 0 first."""

    sample_shape: tuple[int, ...]
    """Shape of every image: height, width and channels. Its values are uint8."""

    num_samples: int
    """Rows that can be read, at least 1."""

    stored_samples: int
    """Rows in the files; more than `num_samples` where this is the `head` of a larger source."""

    images_sha256: str
    """SHA-256 of the bytes of the whole stored `images` array, without the file's header."""

    labels_sha256: str
    """SHA-256 of the bytes of the whole stored `labels` array, without the file's header."""

    inputs: Mapping[str, str] = field(hash=False)
    """What the source was made from: file name -> SHA-256; for synthetic images, its parameters."""

    @classmethod
    def open(cls, folder: Path | str) -> Self:
        """Open a stored source. The digests are not computed: see `verify`.

        Args:
            folder: the folder that holds the three files.

        Returns:
            The source, with all its rows.

        Raises:
            SourceError: a file is missing, or description, headers and file sizes do not agree.
        """
        folder = Path(folder).absolute()
        source = cls(folder=folder, **_read_description(folder / DESCRIPTION_FILE))
        for path, shape in source._stored_arrays():
            array_offset(path, shape)
        return source

    def verify(self) -> Self:
        """Return the source if its files have the SHA-256s of its description (0.1 s for 150 MiB).

        Raises:
            SourceError: an array's bytes are not those that were written.
        """
        expected = (self.images_sha256, self.labels_sha256)
        for (path, shape), sha256 in zip(self._stored_arrays(), expected, strict=True):
            check_sha256([(path, array_offset(path, shape))], sha256)
        return self

    def head(self, num_samples: int) -> Self:
        """Return the source that consists of the first rows of this one; nothing is copied.

        Args:
            num_samples: rows to keep, from 1 to `self.num_samples`.

        Raises:
            SourceError: `num_samples` is out of range.
        """
        check_head(num_samples, self.num_samples, f"the {self.split} split of {self.name}")
        return replace(self, num_samples=num_samples)

    @cached_property
    def images(self) -> np.memmap[Any, np.dtype[np.uint8]]:
        """Read-only map of uint8 pixels, shape `(num_samples, *sample_shape)`."""
        (path, shape), _ = self._stored_arrays()
        images = load_array(path, shape)[: self.num_samples]
        return cast("np.memmap[Any, np.dtype[np.uint8]]", images)

    @cached_property
    def labels(self) -> npt.NDArray[np.uint8]:
        """Read-only map of labels, uint8 of shape `(num_samples,)`, as a plain array."""
        _, (path, shape) = self._stored_arrays()
        return load_array(path, shape)[: self.num_samples].view(np.ndarray)

    @property
    def num_classes(self) -> int:
        """How many classes there are: the width of a one-hot label."""
        return len(self.class_names)

    def read(
        self, rows: npt.NDArray[np.integer[Any]]
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """Return stored images and labels as arrays of their own.

        Args:
            rows: row numbers, shape `(n,)`, in any order, and any of them more than once.

        Returns:
            Images, uint8 of shape `(n, *sample_shape)`, and labels, uint8 of shape `(n,)`.
        """
        images: npt.NDArray[np.uint8] = self.images.view(np.ndarray).take(rows, axis=0)
        return images, self.labels.take(rows)

    def __getstate__(self) -> dict[str, Any]:
        # Without the cached arrays: a map would be pickled as a copy of all its bytes.
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def _stored_arrays(self) -> tuple[tuple[Path, tuple[int, ...]], ...]:
        return (
            (self.folder / IMAGES_FILE, (self.stored_samples, *self.sample_shape)),
            (self.folder / LABELS_FILE, (self.stored_samples,)),
        )


def checked_split(split: str) -> Split:
    """Return the name of a split.

    Raises:
        SourceError: there is no such split.
    """
    if split not in get_args(Split):
        raise SourceError(f"`split` must be one of {get_args(Split)}, got {split!r}.")
    return cast("Split", split)


def describe(source: ImageSource) -> str:
    """Return the text of `source.json` for a source with all its rows."""
    described = {f.name: getattr(source, f.name) for f in fields(source)}
    del described["folder"], described["stored_samples"]
    return signed(described, FORMAT_VERSION)


def _read_description(path: Path) -> dict[str, Any]:
    found = read_signed(path, FORMAT_VERSION, _CHECKS)
    for name in ("class_names", "sample_shape"):
        found[name] = tuple(found[name])
    return {**found, "stored_samples": found["num_samples"]}


_CHECKS: Checks = {
    "name": is_text,
    "split": lambda value: value in get_args(Split),
    "edition": lambda value: value in get_args(Edition),
    "class_names": lambda value: is_list_of_text(value) and len(value) <= 256,
    "sample_shape": lambda value: (
        isinstance(value, list)
        and 0 < len(value) <= 4
        and all(type(size) is int and 0 < size < 2**16 for size in value)
    ),
    "num_samples": is_positive,
    "images_sha256": is_sha256,
    "labels_sha256": is_sha256,
    "inputs": is_dict_of_text,
}
