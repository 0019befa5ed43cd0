"""Reads an archive, zipped or not, and lets nothing through that costs a parser time or memory.

Every header is looked at before `tarfile` is: of a small archive, one that names 500,000 members or
describes one in 200 MiB of text costs a minute otherwise.
"""

from __future__ import annotations

import tarfile
import zlib
from typing import BinaryIO

from keras_loader_bench.loaders.sources.cifar10_editions import edition_of_member
from keras_loader_bench.loaders.sources.cifar10_files import MAX_FILE_BYTES

MAX_ARCHIVE_BYTES = 256 * 2**20
"""Compressed or not, no archive is larger: the official one has 163 MiB, unpacked 178 MiB."""

MAX_MEMBERS = 32
"""The official archive has 9: a folder, seven files and a page. Programs that pack it again may
describe each in a member of its own."""

MAX_DESCRIPTION_BYTES = 4096
"""Of a member that describes the next one: long names, times."""

_DESCRIPTIONS = {
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
}
_FILES = {tarfile.REGTYPE, tarfile.AREGTYPE}
_WITHOUT_CONTENT = {
    tarfile.DIRTYPE,
    tarfile.LNKTYPE,
    tarfile.SYMTYPE,
    tarfile.CHRTYPE,
    tarfile.BLKTYPE,
    tarfile.FIFOTYPE,
}
_UNEXPECTED = (b" size=", b"GNU.sparse")
"""With these, a description changes where the content of the next member ends."""

_END = bytes(tarfile.BLOCKSIZE)
_PIECE_BYTES = 2**16
_MAGIC = b"\x1f\x8b"  # of gzip
_GZIP = 31  # of `zlib.decompressobj`: with the header and the checksum of gzip


class RefusedError(ValueError):
    """An archive that is not read any further."""


class CheckedTar:
    """The unpacked bytes of a `.tar.gz`, or those of a `.tar`, for `tarfile` to read.

    Args:
        file: the archive, at its start.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        zipped = file.read(len(_MAGIC)) == _MAGIC
        file.seek(0)
        self._unzip = zlib.decompressobj(_GZIP) if zipped else None
        self._left = MAX_ARCHIVE_BYTES
        self._header = b""
        self._content_left = 0
        self._description: bytes | None = None
        self._members = 0

    def read(self, size: int) -> bytes:
        """Return so many bytes; fewer at the end.

        Raises:
            RefusedError: it is too much, or not what the archive of CIFAR-10 is made of.
            EOFError: the file ends early.
            zlib.error: it is damaged.
        """
        data = self._file.read(size) if self._unzip is None else self._unzipped(self._unzip, size)
        self._left -= len(data)
        if self._left < 0:
            raise RefusedError(f"it has more than {MAX_ARCHIVE_BYTES // 2**20} MiB unpacked")
        self._follow(data)
        return data

    def _unzipped(self, unzip: zlib._Decompress, size: int) -> bytes:
        found = bytearray()
        while len(found) < size and not unzip.eof:
            piece = unzip.unconsumed_tail or self._file.read(_PIECE_BYTES)
            if not piece:
                raise EOFError("it ends early")
            found += unzip.decompress(piece, size - len(found))
        if len(found) < size and (unzip.unused_data or self._file.read(1)):
            raise RefusedError("something follows its end")
        return bytes(found)

    def _follow(self, data: bytes) -> None:
        """Check the headers in what comes next."""
        view = memoryview(data)
        while view:
            if self._content_left:
                part = view[: self._content_left]
                if self._description is not None:
                    self._description += part
                self._content_left -= len(part)
            else:
                part = view[: tarfile.BLOCKSIZE - len(self._header)]
                self._header += part
                if len(self._header) == tarfile.BLOCKSIZE:
                    self._check_header(self._header)
                    self._header = b""
            view = view[len(part) :]

    def _check_header(self, header: bytes) -> None:
        if header == _END:
            return
        member = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
        if edition := edition_of_member(member.name):
            raise RefusedError(f"it is {edition}")
        self._members += 1
        if self._members > MAX_MEMBERS:
            raise RefusedError(f"it has more than {MAX_MEMBERS} members")
        described = member.type in _DESCRIPTIONS
        odd = any(each in (self._description or b"") for each in _UNEXPECTED)
        if odd or not (described or member.type in _FILES or member.type in _WITHOUT_CONTENT):
            raise RefusedError(f"it has the member {member.name!a} that is not a regular file")
        self._description = b"" if described else None
        if member.type in _WITHOUT_CONTENT:
            return
        if not 0 <= member.size <= (MAX_DESCRIPTION_BYTES if described else MAX_FILE_BYTES):
            raise RefusedError(f"it has the member {member.name!a} of {member.size} bytes")
        self._content_left = -(-member.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
