"""Downloads CIFAR-10 over https, with its checksum, completely or not at all."""

from __future__ import annotations

import hashlib
import http.client
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from keras_loader_bench.loaders.sources.cache import cache_folder, temporary_folder
from keras_loader_bench.loaders.sources.checked_tar import MAX_ARCHIVE_BYTES
from keras_loader_bench.loaders.sources.cifar10_archive import ARCHIVE_FILE, URL, hash_archive
from keras_loader_bench.loaders.sources.image_source import SourceError

SHA256 = "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce"
"""As published in Keras' `datasets/cifar10.py` (`file_hash`)."""

_ARCHIVE_BYTES = 170_498_071
_TIMEOUT_S = 60.0
_PIECE_BYTES = 2**20


def open_https(url: str) -> http.client.HTTPResponse:
    """Open an address, over https only, whatever it redirects to.

    Raises:
        urllib.error.URLError: another scheme is asked for, or the server cannot be reached.
    """
    if not url.startswith("https://"):
        raise urllib.error.URLError("only https addresses are opened")
    response: http.client.HTTPResponse = urllib.request.urlopen(url, timeout=_TIMEOUT_S)  # noqa: S310
    if not response.geturl().startswith("https://"):
        response.close()
        raise urllib.error.URLError("the server redirects to an address that is not https")
    return response


def download_cifar10(
    url: str = URL,
    *,
    sha256: str = SHA256,
    opener: Callable[[str], http.client.HTTPResponse] = open_https,
) -> Path:
    """Download the archive (163 MiB) into the cache, unless it is there already.

    Args:
        url: where it lies.
        sha256: the checksum that it must have.
        opener: opens the address.

    Returns:
        The archive, with this checksum.

    Raises:
        SourceError: no network, a server's error, another checksum, or no space. Nothing stays.
    """
    target = cache_folder() / ARCHIVE_FILE
    if target.is_file() and hash_archive(target) == sha256:
        return target
    with temporary_folder(target.parent, needed_bytes=_ARCHIVE_BYTES) as temporary:
        part = temporary / ARCHIVE_FILE
        digest = hashlib.sha256()
        with part.open("wb") as file:
            for piece in _pieces(url, opener):
                digest.update(piece)
                file.write(piece)
        if digest.hexdigest() != sha256:
            raise _failed(url, f"SHA-256 is {digest.hexdigest()} instead of {sha256}")
        part.replace(target)
    return target


def _pieces(url: str, opener: Callable[[str], http.client.HTTPResponse]) -> Iterator[bytes]:
    received = 0
    try:
        with opener(url) as response:
            promised = response.length
            while piece := response.read(_PIECE_BYTES):
                received += len(piece)
                if received > MAX_ARCHIVE_BYTES:
                    raise _failed(url, f"the server sends more than {MAX_ARCHIVE_BYTES} bytes")
                yield piece
    except (OSError, http.client.HTTPException) as error:
        raise _failed(url, str(error) or type(error).__name__) from error
    if promised is not None and received < promised:
        raise _failed(url, f"the connection ended after {received} of {promised} bytes")


def _failed(url: str, problem: str) -> SourceError:
    return SourceError(
        f"`{url}` could not be downloaded: {problem}. Download it by hand, then pass the archive "
        "as `data_dir` (--data-dir)."
    )
