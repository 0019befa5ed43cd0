"""The container `tar`: shards as WebDataset reads them, `00000123.jpg` beside `00000123.cls`.

https://github.com/webdataset/webdataset: files of one name are one sample, and what they hold is
told by the endings; `.cls` is the label in decimal digits.
"""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from keras_loader_bench.loaders.encoded.containers.shards import shard_name, shard_rows
from keras_loader_bench.loaders.encoded.decoding import Encoded, extension
from keras_loader_bench.loaders.encoded.encoded_source import EncodedSource


def write(source: EncodedSource, folder: Path) -> None:
    """Write `images-00000-of-00008.tar` and so on, see `shard_rows`."""
    shards = shard_rows(source)
    for number, rows in enumerate(shards):
        with tarfile.open(folder / shard_name(number, len(shards), "tar"), "w") as tar:
            for row in rows:
                encoded = source.encoded(row)
                _add(tar, f"{row:08}.{extension(encoded)}", encoded)
                _add(tar, f"{row:08}.cls", str(source.labels[row]).encode())


def _add(tar: tarfile.TarFile, name: str, content: Encoded) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    tar.addfile(member, io.BytesIO(content))
