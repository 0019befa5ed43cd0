"""The source: stored images and labels, read by row.

Owns: the folder `images.npy` + `labels.npy` + `source.json`, how it is opened, checked and sent to
another process. Must not know: where the images came from, who wrote the folder, any framework.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self, cast, get_args

import numpy as np
import numpy.typing as npt

Split = Literal["train", "test"]
Edition = Literal["official", "unofficial", "synthetic"]

IMAGE_SHAPE = (32, 32, 3)
"""Height, width and channels of every image, channels last."""

IMAGES_FILE = "images.npy"
LABELS_FILE = "labels.npy"
DESCRIPTION_FILE = "source.json"

FORMAT_VERSION = 1
"""Raised when the files of a source change their meaning; older folders are then made again."""

_MAX_DESCRIPTION_BYTES = 2**20


class SourceError(ValueError):
    """The data cannot be used. The message names the file, what is wrong and the remedy."""


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
            _array_offset(path, shape)
        return source

    def verify(self) -> None:
        """Compare the SHA-256 of both stored arrays with the description (about 0.1 s for 150 MiB).

        Raises:
            SourceError: an array's bytes are not those that were written.
        """
        expected = (self.images_sha256, self.labels_sha256)
        for (path, shape), sha256 in zip(self._stored_arrays(), expected, strict=True):
            offset = _array_offset(path, shape)
            with path.open("rb") as file:
                file.seek(offset)
                found = hashlib.file_digest(file, "sha256").hexdigest()
            if found != sha256:
                raise _unusable(path, f"its SHA-256 is {found}, the description says {sha256}")

    def head(self, num_samples: int) -> Self:
        """Return the source that consists of the first rows of this one; nothing is copied.

        Args:
            num_samples: rows to keep, from 1 to `self.num_samples`.

        Raises:
            SourceError: `num_samples` is out of range.
        """
        if not 1 <= num_samples <= self.num_samples:
            raise SourceError(
                f"`num_samples` must be between 1 and {self.num_samples}, the size of the "
                f"{self.split} split of {self.name}, got {num_samples}."
            )
        return replace(self, num_samples=num_samples)

    @cached_property
    def images(self) -> np.memmap[Any, np.dtype[np.uint8]]:
        """Read-only map of uint8 pixels, shape `(num_samples, 32, 32, 3)`, channels last."""
        images = _load(self.folder / IMAGES_FILE, mmap_mode="r")
        return cast("np.memmap[Any, np.dtype[np.uint8]]", images[: self.num_samples])

    @cached_property
    def labels(self) -> npt.NDArray[np.uint8]:
        """Read-only map of labels, uint8 of shape `(num_samples,)`, as a plain array."""
        labels = _load(self.folder / LABELS_FILE, mmap_mode="r")[: self.num_samples]
        return labels.view(np.ndarray)

    def __getstate__(self) -> dict[str, Any]:
        # Without the cached arrays: a map would be pickled as a copy of all its bytes.
        return {f.name: getattr(self, f.name) for f in fields(self)}

    def _stored_arrays(self) -> tuple[tuple[Path, tuple[int, ...]], ...]:
        return (
            (self.folder / IMAGES_FILE, (self.stored_samples, *IMAGE_SHAPE)),
            (self.folder / LABELS_FILE, (self.stored_samples,)),
        )


def describe(source: ImageSource) -> str:
    """Return the text of `source.json` for a source with all its rows."""
    description = {f.name: getattr(source, f.name) for f in fields(source)}
    del description["folder"], description["stored_samples"]
    return json.dumps({"format": FORMAT_VERSION, **description}, indent=2) + "\n"


def _unusable(path: Path, problem: str) -> SourceError:
    return SourceError(
        f"`{path}` is not part of a usable source: {problem}. Prepare the source again, or delete "
        f"`{path.parent}` if it was made by hand."
    )


def _read_description(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(_MAX_DESCRIPTION_BYTES))
    except (OSError, ValueError, RecursionError) as error:
        raise _unusable(path, f"it cannot be read ({_reason(error)})") from error
    valid = isinstance(found, dict) and found.pop("format", None) == FORMAT_VERSION
    if not valid or found.keys() != _CHECKS.keys():
        raise _unusable(path, f"it is not a description of format {FORMAT_VERSION}")
    for key, check in _CHECKS.items():
        if not check(found[key]):
            raise _unusable(path, f"it has no valid `{key}`")
    found["class_names"] = tuple(found["class_names"])
    return {**found, "stored_samples": found["num_samples"]}


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value.isprintable() and value != ""


def _is_sha256(value: object) -> bool:
    return isinstance(value, str) and len(value) == 64 and set(value) <= set("0123456789abcdef")


_CHECKS: dict[str, Callable[[Any], bool]] = {
    "name": _is_text,
    "split": lambda value: value in get_args(Split),
    "edition": lambda value: value in get_args(Edition),
    "class_names": lambda value: (
        isinstance(value, list) and 0 < len(value) <= 256 and all(map(_is_text, value))
    ),
    "num_samples": lambda value: type(value) is int and value >= 1,
    "images_sha256": _is_sha256,
    "labels_sha256": _is_sha256,
    "inputs": lambda value: isinstance(value, dict) and all(map(_is_text, value.values())),
}


def _array_offset(path: Path, shape: tuple[int, ...]) -> int:
    """Return where the bytes begin in a `.npy` file that holds exactly this uint8 array."""
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            header = np.lib.format.read_array_header_1_0(file)
            offset, size = file.tell(), os.fstat(file.fileno()).st_size
    except (OSError, ValueError) as error:
        raise _unusable(path, f"it cannot be read ({_reason(error)})") from error
    if version != (1, 0) or header != (shape, False, np.dtype(np.uint8)):
        raise _unusable(path, f"it does not hold a uint8 array of shape {shape}")
    expected = offset + int(np.prod(shape, dtype=object))
    if size != expected:
        raise _unusable(path, f"it has {size} bytes instead of {expected}")
    return offset


def _load(path: Path, *, mmap_mode: Literal["r"]) -> npt.NDArray[np.uint8]:
    try:
        return cast("npt.NDArray[np.uint8]", np.load(path, mmap_mode=mmap_mode))
    except (OSError, ValueError) as error:
        raise _unusable(path, f"it cannot be read ({_reason(error)})") from error


def _reason(error: BaseException) -> str:
    return (isinstance(error, OSError) and error.strerror) or str(error) or type(error).__name__
