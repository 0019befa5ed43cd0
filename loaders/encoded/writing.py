"""Writes encoded images into the cache, as an `EncodedSource`: whole or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from keras_loader_bench.loaders.encoded.decoding import Encoded
from keras_loader_bench.loaders.encoded.encoded_source import (
    DESCRIBED,
    ENCODED_FILE,
    FORMAT_VERSION,
    LABELS_FILE,
    OFFSETS_FILE,
    SIZES_FILE,
    EncodedSource,
)
from keras_loader_bench.loaders.sources.cache import find_made, move_into_place, temporary_folder
from keras_loader_bench.loaders.sources.description import signed
from keras_loader_bench.loaders.sources.image_source import DESCRIPTION_FILE, Edition, Split
from keras_loader_bench.loaders.sources.stored_array import SourceError, npy_header


@dataclass(frozen=True, kw_only=True)
class EncodedImage:
    """One image, on its way into a source."""

    encoded: Encoded

    height: int
    """Of the whole image, in pixels, like `width`."""

    width: int

    label: int


def find_encoded(
    target: Path, *, image_size: int, inputs: Mapping[str, str]
) -> EncodedSource | None:
    """Return the source that lies in a folder of the cache, if it can be trusted.

    Args:
        target: the folder. A KERAS_HOME that cannot be written to may have one of its name.
        image_size: see `EncodedSource`.
        inputs: what the source must have been made from.

    Returns:
        The source, verified byte for byte; `None` if there is none, where its bytes have changed,
        or where it was made from something else.

    Raises:
        SourceError: `image_size` is not positive.
    """
    if image_size < 1:
        raise SourceError(f"`image_size` must be positive, got {image_size}.")
    return find_made(target, _opened(image_size), inputs)


def _opened(image_size: int) -> Callable[[Path], EncodedSource]:
    return lambda folder: EncodedSource.open(folder, image_size=image_size).verify()


def write_encoded(
    target: Path,
    *,
    name: str,
    split: Split,
    edition: Edition,
    class_names: tuple[str, ...],
    image_size: int,
    images: Iterable[EncodedImage],
    needed_bytes: int,
    inputs: Mapping[str, str],
) -> EncodedSource:
    """Write a source into a folder: whole or not at all, as `write_source` does.

    Memory is bounded by one image and 20 bytes for each.

    Args:
        target: the folder; its parents are made.
        name: see `EncodedSource`, like `split`, `edition`, `class_names`, `image_size`, `inputs`.
        split: see `EncodedSource`.
        edition: see `EncodedSource`.
        class_names: see `EncodedSource`.
        image_size: see `EncodedSource`.
        images: at least one, in the order in which they are stored.
        needed_bytes: about what they have together, which must be free on the disk.
        inputs: see `EncodedSource`.

    Returns:
        The source in `target`.

    Raises:
        SourceError: the disk is full or the folder cannot be written to; or `images` raises it.
    """
    with temporary_folder(target.parent, needed_bytes=needed_bytes) as temporary:
        made = temporary / "source"
        made.mkdir()
        index: list[tuple[int, int, int, int]] = []
        digest = hashlib.sha256()
        with (made / ENCODED_FILE).open("wb") as file:
            for image in images:
                file.write(image.encoded)
                digest.update(image.encoded)
                index.append((len(image.encoded), image.height, image.width, image.label))
        columns = np.array(index, np.int64).reshape(-1, 4)
        ends = np.concatenate([[0], np.cumsum(columns[:, 0])])
        offsets = _write_array(made / OFFSETS_FILE, ends.astype(np.int64))
        sizes = _write_array(made / SIZES_FILE, columns[:, 1:3].astype(np.int32))
        labels = _write_array(made / LABELS_FILE, columns[:, 3].astype(np.int32))
        source = EncodedSource(
            folder=made,
            name=name,
            split=split,
            edition=edition,
            class_names=class_names,
            image_size=image_size,
            num_samples=len(index),
            stored_samples=len(index),
            stored_bytes=int(ends[-1]),
            images_sha256=digest.hexdigest(),
            labels_sha256=hashlib.sha256(labels).hexdigest(),
            index_sha256=hashlib.sha256(offsets + sizes).hexdigest(),
            inputs=dict(inputs),
        )
        description = signed({key: getattr(source, key) for key in DESCRIBED}, FORMAT_VERSION)
        (made / DESCRIPTION_FILE).write_text(description, encoding="utf-8")
        move_into_place(made, target, _opened(image_size), inputs)
    return EncodedSource.open(target, image_size=image_size)


def _write_array(path: Path, array: npt.NDArray[np.integer]) -> bytes:
    data = np.ascontiguousarray(array).tobytes()
    path.write_bytes(npy_header(array.shape, array.dtype) + data)
    return data
