"""CIFAR-10 as an `ImageSource`: converts it.

The files are read by `cifar10_files`, archives by `cifar10_archive`; both give a source that lies
in the cache under the digest of what it was made from.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path

from keras_loader_bench.loaders.sources.cache import (
    Chunk,
    cache_folder,
    find_source,
    temporary_folder,
    write_source,
)
from keras_loader_bench.loaders.sources.cifar10_archive import ARCHIVE_FILE, hash_archive, unpack
from keras_loader_bench.loaders.sources.cifar10_files import (
    BATCH_FILES,
    FOLDER,
    IMAGE_SHAPE,
    MAX_FILE_BYTES,
    META_FILE,
    ROWS_PER_BATCH,
    has_published_md5,
    parse_batch,
    parse_class_names,
    read_file,
)
from keras_loader_bench.loaders.sources.cifar10_find import copies_of_cifar10
from keras_loader_bench.loaders.sources.description import key_of
from keras_loader_bench.loaders.sources.image_source import (
    ImageSource,
    SourceError,
    Split,
    checked_split,
)
from keras_loader_bench.loaders.sources.keras_home import keras_home


def prepare_cifar10(
    data_dir: Path | str | None, split: str, *, rows_per_batch: int = ROWS_PER_BATCH
) -> ImageSource:
    """Return one split of a local CIFAR-10; it is converted once and kept in the cache.

    Of several copies, the first that can be read is taken: Keras leaves a part of a folder where it
    is ended while it unpacks an archive.

    Args:
        data_dir: see `copies_of_cifar10`.
        split: `train` or `test`.
        rows_per_batch: images that every batch must have.

    Returns:
        A source of edition `official` where the MD5 of every file it was made from is the published
        one, else `unofficial`; verified.

    Raises:
        SourceError: there is no CIFAR-10, a file is not what it should be, or the cache cannot be
            written to.
    """
    split = checked_split(split)
    problem: SourceError | None = None
    for copy in copies_of_cifar10(data_dir):
        try:
            return _prepare(copy, split, rows_per_batch)
        except SourceError as error:
            problem = problem or error
    raise problem or SourceError(
        f"No CIFAR-10 was found: neither `./{FOLDER}` nor Keras' cache `{keras_home()}` has it. "
        "Pass `data_dir` (--data-dir), or ask for the source `cifar10` to download it."
    )


def _prepare(found: Path, split: Split, rows_per_batch: int) -> ImageSource:
    names = (*BATCH_FILES[split], META_FILE)
    inputs = _hash_inputs(found, names)
    target = cache_folder() / f"cifar10-{split}-{key_of(inputs)}"
    source = find_source(target, inputs=inputs)
    if source is not None:
        return source
    with _batch_folder(found, names) as folder:
        meta = folder / META_FILE
        official = all(has_published_md5(folder / name) for name in names)
        return write_source(
            target,
            name="cifar10",
            split=split,
            edition="official" if official else "unofficial",
            class_names=parse_class_names(meta, read_file(meta)),
            sample_shape=IMAGE_SHAPE,
            num_samples=rows_per_batch * len(BATCH_FILES[split]),
            chunks=_chunks(folder, split, rows_per_batch, inputs),
            inputs=inputs,
        )


def _hash_inputs(found: Path, names: tuple[str, ...]) -> dict[str, str]:
    """Return file name -> SHA-256 of the archive, or of the files in the folder."""
    if found.is_dir():
        return {name: _sha256(read_file(found / name)) for name in names}
    return {ARCHIVE_FILE: hash_archive(found)}


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@contextlib.contextmanager
def _batch_folder(found: Path, names: tuple[str, ...]) -> Iterator[Path]:
    """Give a folder with the files: the one that was found, or what the archive has in it."""
    if found.is_dir():
        yield found
        return
    with temporary_folder(cache_folder(), needed_bytes=len(names) * MAX_FILE_BYTES) as folder:
        unpack(found, names, folder)
        yield folder


def _chunks(
    folder: Path, split: Split, rows_per_batch: int, inputs: dict[str, str]
) -> Iterator[Chunk]:
    for name in BATCH_FILES[split]:
        content = read_file(folder / name)
        if inputs.get(name, _sha256(content)) != _sha256(content):
            raise SourceError(f"`{folder / name}` was changed while it was read. Try again.")
        yield parse_batch(folder / name, content, rows=rows_per_batch)
