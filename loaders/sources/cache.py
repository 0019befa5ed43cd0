"""The cache of prepared sources, which are put there completely or not at all.

Owns the folder in Keras' own one, writing in bounded memory, moving into place, and the messages
about full disks and read-only folders.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import math
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from keras_loader_bench.loaders.sources.image_source import (
    DESCRIPTION_FILE,
    IMAGES_FILE,
    LABELS_FILE,
    Edition,
    ImageSource,
    SourceError,
    Split,
    describe,
)
from keras_loader_bench.loaders.sources.keras_home import keras_home, writable_home
from keras_loader_bench.loaders.sources.stored_array import npy_header
from keras_loader_bench.loaders.system.owned_folder import owned_folder, remove_abandoned


class Made(Protocol):
    """What the cache keeps."""

    @property
    def inputs(self) -> Mapping[str, str]:
        """What it was made from."""


M = TypeVar("M", bound=Made)

Chunk = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]
"""Images uint8 `(k, *sample_shape)` and labels uint8 `(k,)`."""

_FOLDER = "keras-loader-bench"
_MIB = 2**20
_TEMPORARY = ".tmp-"
_MAX_ATTEMPTS = 10


def cache_folder() -> Path:
    """Return the folder in which this package keeps prepared sources and downloads."""
    return writable_home() / _FOLDER


def remove_leftovers() -> None:
    """Delete what killed processes have left in the cache."""
    remove_abandoned(cache_folder(), _TEMPORARY)


def find_source(target: Path, *, inputs: Mapping[str, str]) -> ImageSource | None:
    """Return the source that lies in a folder of the cache, if it can be trusted.

    Args:
        target: the folder. A KERAS_HOME that cannot be written to may have one of its name.
        inputs: what the source must have been made from.

    Returns:
        The source, verified byte for byte; `None`: none is there, or changed, or made otherwise.
    """
    return find_made(target, _opened, inputs)


def find_made(target: Path, opener: Callable[[Path], M], inputs: Mapping[str, str]) -> M | None:
    """Return what lies in a folder of the cache, if it can be trusted.

    Args:
        target: the folder. A KERAS_HOME that cannot be written to may have one of its name.
        opener: opens a folder; raises `SourceError` or `OSError` where that cannot be trusted.
        inputs: what it must have been made from.
    """
    places = dict.fromkeys((target, keras_home() / _FOLDER / target.name))
    found = (_trusted(place, opener, inputs) for place in places)
    return next(filter(None, found), None)


def _trusted(folder: Path, opener: Callable[[Path], M], inputs: Mapping[str, str]) -> M | None:
    try:
        found = opener(folder)
    except (SourceError, OSError):
        return None
    return found if found.inputs == inputs else None


def _opened(folder: Path) -> ImageSource:
    return ImageSource.open(folder).verify()


def write_source(
    target: Path,
    *,
    name: str,
    split: Split,
    edition: Edition,
    class_names: tuple[str, ...],
    sample_shape: tuple[int, ...],
    num_samples: int,
    chunks: Iterable[Chunk],
    inputs: Mapping[str, str],
) -> ImageSource:
    """Write a source into a folder: whole or not at all.

    Memory is bounded by one chunk. Whatever goes wrong, `KeyboardInterrupt` included, the folder is
    as it was before. Where another process writes the same source at the same time, both succeed.
    An unusable folder of that name is replaced.

    Args:
        target: the folder; its parents are made.
        name: see `ImageSource`, like `split`, `edition`, `class_names` and `inputs`.
        split: see `ImageSource`.
        edition: see `ImageSource`.
        class_names: see `ImageSource`.
        sample_shape: see `ImageSource`.
        num_samples: rows that the chunks have together, at least 1.
        chunks: images and labels in the order in which they are stored.
        inputs: see `ImageSource`.

    Returns:
        The source in `target`.

    Raises:
        SourceError: the disk is full or the folder cannot be written to.
        ValueError: the chunks do not have the promised dtype, shape or number of rows.
    """
    needed_bytes = num_samples * (math.prod(sample_shape) + 1)
    with temporary_folder(target.parent, needed_bytes=needed_bytes) as temporary:
        made = temporary / "source"
        made.mkdir()
        images_sha256, labels_sha256 = _write_arrays(made, chunks, num_samples, sample_shape)
        source = ImageSource(
            folder=made,
            name=name,
            split=split,
            edition=edition,
            class_names=class_names,
            sample_shape=sample_shape,
            num_samples=num_samples,
            stored_samples=num_samples,
            images_sha256=images_sha256,
            labels_sha256=labels_sha256,
            inputs=dict(inputs),
        )
        (made / DESCRIPTION_FILE).write_text(describe(source), encoding="utf-8")
        move_into_place(made, target, _opened, inputs)
    return replace(source, folder=target.absolute())


def _write_arrays(
    folder: Path, chunks: Iterable[Chunk], num_samples: int, sample_shape: tuple[int, ...]
) -> tuple[str, str]:
    """Write both arrays; return their SHA-256.

    Plain writes, no map: on a full disk a write raises `OSError`, a map kills the process (SIGBUS).
    """
    digests = hashlib.sha256(), hashlib.sha256()
    shapes = (num_samples, *sample_shape), (num_samples,)
    written = 0
    with (folder / IMAGES_FILE).open("wb") as images, (folder / LABELS_FILE).open("wb") as labels:
        files = images, labels
        for file, shape in zip(files, shapes, strict=True):
            file.write(npy_header(shape))
        for chunk in chunks:
            rows = len(chunk[1])
            for file, array, shape, digest in zip(files, chunk, shapes, digests, strict=True):
                if array.dtype != np.uint8 or array.shape != (rows, *shape[1:]):
                    raise ValueError(f"A chunk has dtype {array.dtype} and shape {array.shape}.")
                data = np.ascontiguousarray(array).data
                digest.update(data)
                file.write(data)
            written += rows
    if written != num_samples:
        raise ValueError(f"`chunks` must have {num_samples} rows together, got {written}.")
    return digests[0].hexdigest(), digests[1].hexdigest()


def move_into_place(
    made: Path, target: Path, opener: Callable[[Path], M], inputs: Mapping[str, str]
) -> None:
    """Rename a finished folder to its target, unless another process has put the same one there.

    Args:
        made: lies in a `temporary_folder` beside the target.
        target: what is there already and cannot be trusted is deleted.
        opener: as of `find_made`.
        inputs: what the target must have been made from, to be trusted.

    Raises:
        OSError: it cannot be renamed.
    """
    for attempt in range(_MAX_ATTEMPTS):
        try:
            made.rename(target)
            return
        except OSError:
            if not target.exists() or attempt == _MAX_ATTEMPTS - 1:
                raise
        if _trusted(target, opener, inputs) is not None:
            return
        # Unusable: out of the way, into our own temporary folder, which is deleted with it. It is
        # gone already where another process has just done the same.
        with contextlib.suppress(FileNotFoundError):
            target.rename(made.parent / f"replaced-{attempt}")


@contextlib.contextmanager
def temporary_folder(parent: Path, *, needed_bytes: int) -> Iterator[Path]:
    """Make a folder that is deleted at the end, however that comes about.

    Args:
        parent: where to make it, so that its files can be renamed into `parent`; made if missing.
        needed_bytes: the space that must be free; checked before anything is written.

    Raises:
        SourceError: there is less space, or writing in the block failed (any `OSError` that leaves
            the block counts as that: read inputs elsewhere, or raise `SourceError` for them).
    """
    try:
        parent.mkdir(parents=True, exist_ok=True)
        with owned_folder(parent, _TEMPORARY) as temporary:
            if _free_bytes(parent) < needed_bytes:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            yield temporary
    except OSError as error:  # the folder is gone: the message looks at the free space
        raise _not_writable(parent, needed_bytes, error) from error


def _not_writable(folder: Path, needed_bytes: int, error: OSError) -> SourceError:
    problem = error.strerror or str(error)
    remedy = "Make it writable, or set the environment variable KERAS_HOME to another folder."
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        needed, free = -(-needed_bytes // _MIB), _free_bytes(folder) // _MIB
        problem += f" ({needed} MiB needed, {free} MiB free)"
        # Where there is room on the disk, a quota is in the way, and how much it leaves is unknown.
        shortage = needed - free if free < needed else needed
        remedy = (
            f"Free {shortage} MiB, or set the environment variable KERAS_HOME to a folder on "
            "another disk."
        )
    return SourceError(f"`{folder}` cannot be written to: {problem}. {remedy}")


def _free_bytes(folder: Path) -> int:
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(existing).free
