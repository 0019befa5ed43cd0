"""`EncodedSource`: encoded images and labels, read by row and decoded.

A source is a folder with `encoded.bin` (the bytes of all images, one after another), `offsets.npy`,
`sizes.npy`, `labels.npy` and `source.json`. Must not know: any framework.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self, get_args

import numpy as np
import numpy.typing as npt

from keras_loader_bench.loaders.encoded.decoding import decode
from keras_loader_bench.loaders.encoded.views import Views
from keras_loader_bench.loaders.sources.description import (
    Checks,
    is_dict_of_text,
    is_list_of_text,
    is_positive,
    is_sha256,
    is_text,
    read_signed,
)
from keras_loader_bench.loaders.sources.image_source import DESCRIPTION_FILE, Edition, Split
from keras_loader_bench.loaders.sources.stored_array import (
    SourceError,
    array_offset,
    check_head,
    check_sha256,
    load_array,
    map_bytes,
    unusable,
)

ENCODED_FILE = "encoded.bin"
OFFSETS_FILE, SIZES_FILE, LABELS_FILE = "offsets.npy", "sizes.npy", "labels.npy"

FORMAT_VERSION = 1
"""Raised when the files of a source change their meaning; older folders are then made again."""


@dataclass(frozen=True, kw_only=True)
class EncodedSource:
    """Encoded images and labels that lie in a folder; rows are read when they are needed.

    Users of an `ImageSource` can use it too, unless they need `images`. It pickles as the path of
    its folder: a worker reads the description itself.
    """

    folder: Path
    """Where the five files lie; an absolute path."""

    name: str
    """`photographs`, or `folder`."""

    split: Split
    """`train` or `test`."""

    edition: Edition
    """`synthetic`, or `unofficial`: somebody's own files."""

    class_names: tuple[str, ...]
    """The name of every label in sorted order, as Keras numbers folders."""

    image_size: int
    """Height and width of what is cut from the centre of every image, in pixels."""

    num_samples: int
    """Rows that can be read, at least 1."""

    stored_samples: int
    """Rows in the files; more than `num_samples` where this is the `head` of a larger source."""

    stored_bytes: int
    """Length of `encoded.bin`."""

    images_sha256: str
    """SHA-256 of `encoded.bin`."""

    labels_sha256: str
    """SHA-256 of the bytes of the stored `labels` array, without the file's header."""

    index_sha256: str
    """SHA-256 of the bytes of `offsets` and then `sizes`, without the files' headers."""

    inputs: Mapping[str, str] = field(hash=False)
    """What the source was made from: parameters and versions, or a digest of a folder's listing."""

    @classmethod
    def open(cls, folder: Path | str, *, image_size: int) -> Self:
        """Open a stored source. The digests are not computed: see `verify`.

        Args:
            folder: the folder that holds the five files.
            image_size: see the field.

        Returns:
            The source, with all its rows.

        Raises:
            SourceError: a file is missing, description, headers and file sizes do not agree, or
                `image_size` is not positive. Whether every image is as large, `too_small` says.
        """
        if image_size < 1:
            raise SourceError(f"`image_size` must be positive, got {image_size}.")
        folder = Path(folder).absolute()
        found = read_signed(folder / DESCRIPTION_FILE, FORMAT_VERSION, DESCRIBED)
        found["class_names"] = tuple(found["class_names"])
        rows = found["num_samples"]
        source = cls(folder=folder, image_size=image_size, stored_samples=rows, **found)
        for path, shape, dtype in source._stored_arrays():
            array_offset(path, shape, dtype)
        encoded = folder / ENCODED_FILE
        size = encoded.stat().st_size if encoded.exists() else 0
        if size != source.stored_bytes:
            raise unusable(encoded, f"it has {size} bytes instead of {source.stored_bytes}")
        return source

    def verify(self) -> Self:
        """Return the source if its files have the SHA-256s that it describes: 0.1 s for 150 MiB.

        Raises:
            SourceError: their bytes are not those that were written.
        """
        offsets, sizes, labels = (
            (path, array_offset(path, shape, dtype)) for path, shape, dtype in self._stored_arrays()
        )
        check_sha256([(self.folder / ENCODED_FILE, 0)], self.images_sha256)
        check_sha256([labels], self.labels_sha256)
        check_sha256([offsets, sizes], self.index_sha256)
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

    @property
    def sample_shape(self) -> tuple[int, int, int]:
        """Shape of every decoded image: height, width and channels. Its values are uint8."""
        return (self.image_size, self.image_size, 3)

    @property
    def num_classes(self) -> int:
        """How many classes there are: the width of a one-hot label."""
        return len(self.class_names)

    @property
    def bytes_per_sample(self) -> float:
        """Mean length of an encoded image."""
        return float(self.offsets[-1]) / self.num_samples

    @cached_property
    def labels(self) -> npt.NDArray[np.int32]:
        """Read-only map of labels, int32 of shape `(num_samples,)`."""
        return self._mapped(LABELS_FILE)[: self.num_samples]

    @cached_property
    def offsets(self) -> npt.NDArray[np.int64]:
        """Where every image begins and the last one ends: a map, int64 `(num_samples + 1,)`."""
        return self._mapped(OFFSETS_FILE)[: self.num_samples + 1]

    @cached_property
    def sizes(self) -> npt.NDArray[np.int32]:
        """Height and width of every whole image in pixels: a map, int32 `(num_samples, 2)`."""
        return self._mapped(SIZES_FILE)[: self.num_samples]

    @cached_property
    def _bytes(self) -> memoryview:
        path = self.folder / ENCODED_FILE
        return map_bytes(path, 0, (self.stored_bytes,)).data

    def encoded(self, row: int) -> memoryview:
        """Return the bytes of one image: a read-only view of the mapped file.

        Args:
            row: from 0 to `num_samples - 1`.

        Raises:
            IndexError: there is no such row.
        """
        if not 0 <= row < self.num_samples:
            last = self.num_samples - 1
            raise IndexError(f"Row {row} does not exist: the source has the rows 0 to {last}.")
        return self._bytes[self.offsets[row] : self.offsets[row + 1]]

    def read(
        self, rows: npt.NDArray[np.integer[Any]], views: Views | None = None
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]:
        """Return decoded images, cut to `image_size`, and labels, as arrays of their own.

        Args:
            rows: row numbers, shape `(n,)`, in any order, any of them more than once.
            views: which part of each image; `None`: its centre.

        Returns:
            Images, uint8 of shape `(n, *sample_shape)`, and labels, int32 of shape `(n,)`.

        Raises:
            SourceError: an image is smaller than `image_size`.
        """
        images = np.empty((len(rows), *self.sample_shape), np.uint8)
        parts = np.zeros((len(rows), 3), np.int32) if views is None else views
        for image, row, view in zip(images, rows.tolist(), parts.tolist(), strict=True):
            decode(self.encoded(row), self.image_size, out=image, view=view)
        return images, self.labels.take(rows)

    def too_small(self) -> npt.NDArray[np.intp]:
        """Return the rows, ascending, whose images are smaller than `image_size`."""
        return np.flatnonzero(self.sizes.min(axis=1) < self.image_size)

    def __reduce__(self) -> tuple[Any, ...]:
        # A thousand class names would make a large pickle, and a map be pickled as all its bytes.
        return _reopen, (str(self.folder), self.image_size, self.num_samples, self.images_sha256)

    def _mapped(self, name: str) -> npt.NDArray[Any]:
        (found,) = (each for each in self._stored_arrays() if each[0].name == name)
        return load_array(*found).view(np.ndarray)

    def _stored_arrays(self) -> tuple[tuple[Path, tuple[int, ...], type[np.generic]], ...]:
        rows = self.stored_samples
        return (
            (self.folder / OFFSETS_FILE, (rows + 1,), np.int64),
            (self.folder / SIZES_FILE, (rows, 2), np.int32),
            (self.folder / LABELS_FILE, (rows,), np.int32),
        )


def _reopen(folder: str, image_size: int, num_samples: int, images_sha256: str) -> EncodedSource:
    source = EncodedSource.open(folder, image_size=image_size)
    if source.images_sha256 != images_sha256:
        raise unusable(source.folder, "it was made again, from something else")
    return source.head(num_samples)


DESCRIBED: Checks = {
    "name": is_text,
    "split": lambda value: value in get_args(Split),
    "edition": lambda value: value in get_args(Edition),
    "class_names": is_list_of_text,
    "num_samples": is_positive,
    "stored_bytes": is_positive,
    "images_sha256": is_sha256,
    "labels_sha256": is_sha256,
    "index_sha256": is_sha256,
    "inputs": is_dict_of_text,
}
"""Key of `source.json` -> whether a value may stand there. The crop is no property of the files."""
