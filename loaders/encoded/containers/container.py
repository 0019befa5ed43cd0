"""The containers that exist, and one that was written: kept in the cache, whole or not at all.

A new container is one module with `write(source, folder)` and one entry here; where it allows to
read any row, the module also has `Records`. Must not know: any framework.
"""

from __future__ import annotations

import hashlib
import importlib
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

from keras_loader_bench.loaders.encoded.encoded_source import EncodedSource
from keras_loader_bench.loaders.registry import missing_package
from keras_loader_bench.loaders.sources.cache import (
    cache_folder,
    find_made,
    move_into_place,
    temporary_folder,
)
from keras_loader_bench.loaders.sources.description import (
    Checks,
    is_dict_of_text,
    is_positive,
    is_sha256,
    read_signed,
    signed,
)
from keras_loader_bench.loaders.sources.stored_array import SourceError, unusable
from keras_loader_bench.loaders.system.text import message_of

FORMAT_VERSION = 1
"""Raised when what is written changes; older containers are then made again."""

_DESCRIPTION_FILE, _DATA_FOLDER = "container.json", "data"
_RECORD_BYTES = 4096
"""More than any container adds to an image."""


@dataclass(frozen=True, kw_only=True)
class ContainerEntry:
    """What is known of a kind of container without importing what writes it."""

    module: str
    """Below this package."""

    packages: tuple[str, ...] = ()
    """What it needs beyond NumPy, as in `LoaderEntry.packages`."""

    any_row: bool = False
    """Whether one row can be read without the others: its module has `Records`."""


CONTAINERS: dict[str, ContainerEntry] = {
    "folder": ContainerEntry(module=".folder", any_row=True),
    "tfrecord": ContainerEntry(module=".tfrecord", packages=("tensorflow",)),
    "hdf5": ContainerEntry(module=".hdf5", packages=("h5py",), any_row=True),
    "array_record": ContainerEntry(
        module=".array_record", packages=("array_record",), any_row=True
    ),
    "tar": ContainerEntry(module=".tar"),
}
"""Name of a kind of container -> what it needs."""


@dataclass(frozen=True, kw_only=True)
class Container:
    """The rows of a source in a container."""

    kind: str
    """A key of `CONTAINERS`."""

    folder: Path
    """Where it lies; an absolute path."""

    write_s: float
    """What writing took, in seconds; the system may have written to the disk only later."""

    disk_bytes: int
    """What its files take on the disk, in whole blocks."""

    inputs: Mapping[str, str]
    """Digests of the source and the number of its rows."""

    @property
    def data(self) -> Path:
        """The folder with nothing but the container's own files."""
        return self.folder / _DATA_FOLDER

    @property
    def files(self) -> list[Path]:
        """The files in `data`, not those in folders below it: the shards, in the order of rows."""
        return sorted(path for path in self.data.iterdir() if path.is_file())


class Records(Protocol):
    """Reads any row of a container, from any thread."""

    def __getitem__(self, row: int) -> tuple[bytes, int]:
        """Return the encoded image and the label of a row."""

    def close(self) -> None:
        """Let go of files."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc_info: object) -> None: ...


def prepare_container(source: EncodedSource, kind: str) -> Container:
    """Return the rows of a source in a container; it is written once and kept in the cache.

    What is in the cache is taken if all its files are there, with their sizes; their bytes are not
    read. `tfrecord` imports TensorFlow where it is written.

    Args:
        source: the rows. The crop is none of the container's business.
        kind: a key of `CONTAINERS`.

    Raises:
        SourceError: there is no such kind, a package is missing, the disk is full or the cache
            cannot be written to.
    """
    if kind not in CONTAINERS:
        raise SourceError(f"`kind` must be one of {tuple(CONTAINERS)}, got {kind!r}.")
    inputs = {
        "kind": kind,
        "images_sha256": source.images_sha256,
        "labels_sha256": source.labels_sha256,
        "rows": str(source.num_samples),
    }
    target = cache_folder() / f"{source.folder.name}-{kind}-{source.num_samples}"
    if (found := find_made(target, _open, inputs)) is not None:
        return found
    entry = CONTAINERS[kind]
    if problem := missing_package(entry.packages):
        raise SourceError(f"The container `{kind}` cannot be written: {problem}.")
    needed_bytes = int(source.offsets[-1]) + source.num_samples * _RECORD_BYTES
    with temporary_folder(target.parent, needed_bytes=needed_bytes) as temporary:
        made = temporary / "container"
        (made / _DATA_FOLDER).mkdir(parents=True)
        module = _module(kind)  # the import is not what is timed
        start = time.perf_counter()
        try:
            module.write(source, made / _DATA_FOLDER)
        except OSError:
            raise
        except Exception as error:  # three libraries have errors of their own for a full disk
            raise SourceError(
                f"The container `{kind}` cannot be written to `{target.parent}`: "
                f"{message_of(error, 300)}. Is the disk full?"
            ) from error
        write_s = time.perf_counter() - start
        listing_sha256, disk_bytes = _listing(made)
        description = {
            "write_s": write_s,
            "disk_bytes": disk_bytes,
            "listing_sha256": listing_sha256,
            "inputs": inputs,
        }
        text = signed(description, FORMAT_VERSION)
        (made / _DESCRIPTION_FILE).write_text(text, encoding="utf-8")
        move_into_place(made, target, _open, inputs)
    return _open(target)


def records(container: Container) -> Records:
    """Open a container to read any of its rows.

    Raises:
        SourceError: its rows can only be read one after another.
    """
    if not CONTAINERS[container.kind].any_row:
        raise SourceError(f"The rows of the container `{container.kind}` are read in order only.")
    opened: Records = _module(container.kind).Records(container.data)
    return opened


def _module(kind: str) -> Any:
    return importlib.import_module(CONTAINERS[kind].module, __package__)


def _open(folder: Path) -> Container:
    found = read_signed(folder / _DESCRIPTION_FILE, FORMAT_VERSION, _CHECKS)
    if found.pop("listing_sha256") != _listing(folder)[0]:
        raise unusable(folder / _DATA_FOLDER, "files are missing, or have another size")
    return Container(kind=found["inputs"]["kind"], folder=folder.absolute(), **found)


def _listing(folder: Path) -> tuple[str, int]:
    """Return the SHA-256 of the names and sizes of a container's files, and their room on disk."""
    lines, disk_bytes = [], 0
    data = os.fspath(folder / _DATA_FOLDER)
    for place, _, files in os.walk(data):
        for file in files:
            path = os.path.join(place, file)  # noqa: PTH118 - there may be a million
            about = os.stat(path)  # noqa: PTH116
            lines.append(f"{path[len(data) :]}\0{about.st_size}")
            # Of 512 bytes; not on Windows, and 0 where a file system counts them later.
            blocks = getattr(about, "st_blocks", 0)
            disk_bytes += max(about.st_size, blocks * 512)
    return hashlib.sha256("\0".join(sorted(lines)).encode()).hexdigest(), disk_bytes


_CHECKS: Checks = {
    "write_s": lambda value: isinstance(value, float) and value >= 0,
    "disk_bytes": is_positive,
    "listing_sha256": is_sha256,
    "inputs": lambda value: is_dict_of_text(value) and value.get("kind") in CONTAINERS,
}
