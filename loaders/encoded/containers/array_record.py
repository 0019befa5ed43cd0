"""The container `array_record`: shards that Grain reads by row.

A record is the label, four bytes with the lowest first, and then the encoded image. Each is stored
on its own (`group_size:1`), as Grain's users are advised, and not compressed, since a JPEG is:
https://google-grain.readthedocs.io/en/latest/data_sources/arrayrecord.html
"""

from __future__ import annotations

from pathlib import Path
from typing import Self

from array_record.python.array_record_data_source import ArrayRecordDataSource
from array_record.python.array_record_module import ArrayRecordWriter

from keras_loader_bench.loaders.encoded.containers.shards import shard_name, shard_rows
from keras_loader_bench.loaders.encoded.encoded_source import EncodedSource

_LABEL_BYTES = 4


def write(source: EncodedSource, folder: Path) -> None:
    """Write `images-00000-of-00008.array_record` and so on, see `shard_rows`."""
    shards = shard_rows(source)
    for number, rows in enumerate(shards):
        path = folder / shard_name(number, len(shards), "array_record")
        writer = ArrayRecordWriter(str(path), "group_size:1,uncompressed")
        for row in rows:
            label = int(source.labels[row]).to_bytes(_LABEL_BYTES, "little")
            writer.write(label + source.encoded(row))
        writer.close()


def unpack(record: bytes) -> tuple[bytes, int]:
    """Return the encoded image and the label that a record holds."""
    return record[_LABEL_BYTES:], int.from_bytes(record[:_LABEL_BYTES], "little")


class Records:
    """Reads the record of a row from files that stay open.

    Args:
        folder: what `write` has filled.
    """

    def __init__(self, folder: Path) -> None:
        self._source = ArrayRecordDataSource(sorted(map(str, folder.iterdir())))

    def __getitem__(self, row: int) -> tuple[bytes, int]:
        """Return the encoded image and the label of a row."""
        return unpack(self._source[row])

    def close(self) -> None:
        """Close the files."""
        self._source.__exit__(None, None, None)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
