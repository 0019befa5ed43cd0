"""Unpacks `cifar-10-python.tar.gz` without trusting it.

Only the members that CIFAR-10 has are accepted, and no more is read than these have.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
from collections.abc import Collection, Iterator
from pathlib import Path

from keras_loader_bench.loaders.sources.checked_tar import (
    MAX_ARCHIVE_BYTES,
    CheckedTar,
    RefusedError,
)
from keras_loader_bench.loaders.sources.cifar10_files import FOLDER, MAX_FILE_BYTES, PUBLISHED_MD5
from keras_loader_bench.loaders.sources.image_source import SourceError
from keras_loader_bench.loaders.system.text import shown

ARCHIVE_FILE = "cifar-10-python.tar.gz"
URL = f"https://www.cs.toronto.edu/~kriz/{ARCHIVE_FILE}"

_MEMBERS = frozenset(f"{FOLDER}/{name}" for name in (*PUBLISHED_MD5, "readme.html"))


def hash_archive(archive: Path) -> str:
    """Return the SHA-256 of an archive.

    Raises:
        SourceError: it cannot be read or is too large.
    """
    try:
        with archive.open("rb") as file:
            if os.fstat(file.fileno()).st_size > MAX_ARCHIVE_BYTES:
                raise _refused(archive, f"it is larger than {MAX_ARCHIVE_BYTES // 2**20} MiB")
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SourceError(f"`{archive}` cannot be read: {error.strerror}.") from error


def unpack(archive: Path, names: Collection[str], folder: Path) -> None:
    """Write some of the archive's files into a folder; check every member up to the end.

    Args:
        archive: the `.tar.gz`, or the `.tar` that some browsers make of it.
        names: the wanted files, without the archive's folder.
        folder: an existing folder.

    Raises:
        SourceError: the archive is damaged, has a member that the official one does not have, or
            lacks one that is wanted.
        OSError: `folder` cannot be written to.
    """
    missing = set(names)
    for name, content in _members(archive):
        if name in missing:
            (folder / name).write_bytes(content)
            missing.remove(name)
    if missing:
        raise _refused(archive, f"it has no {', '.join(sorted(missing))}")


def _members(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of every file, read front to back and one at a time."""
    seen = set()
    try:
        with archive.open("rb") as file:
            stream = CheckedTar(file)
            tar = tarfile.open(fileobj=stream, mode="r|")  # type: ignore[call-overload]  # noqa: SIM115
            for member in tar:
                if member.isdir() and member.name == FOLDER:
                    continue
                problem = "twice" if member.name in seen else _problem(member)
                if problem:
                    raise _refused(archive, f"it has the member {member.name!a} {problem}")
                seen.add(member.name)
                content = tar.extractfile(member)
                data = content.read() if content else b""
                if len(data) != member.size:
                    raise EOFError(f"{member.name} ends early")
                yield member.name.removeprefix(f"{FOLDER}/"), data
            while stream.read(2**20):  # the checksum of gzip comes after the end of the tar
                pass
    except SourceError:
        raise
    except RefusedError as error:
        raise _refused(archive, str(error)) from error
    except Exception as error:  # zlib and tarfile raise many kinds
        problem = f"it is truncated, damaged or no .tar or .tar.gz ({error})"
        raise _refused(archive, problem) from error


def _problem(member: tarfile.TarInfo) -> str | None:
    if not member.isreg() or member.issparse():
        return "that is not a regular file"
    if member.name not in _MEMBERS:
        return "that the official archive does not have"
    if not 0 <= member.size <= MAX_FILE_BYTES:
        return f"of {member.size} bytes"
    return None


def _refused(archive: Path, problem: str) -> SourceError:
    return SourceError(
        f"`{archive}` is not the archive of CIFAR-10: {shown(problem)}. Put {URL} in its place."
    )
