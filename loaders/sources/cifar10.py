"""CIFAR-10 as an `ImageSource`: finds and converts it.

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
    keras_home,
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
    PUBLISHED_MD5,
    ROWS_PER_BATCH,
    has_published_md5,
    parse_batch,
    parse_class_names,
    read_file,
)
from keras_loader_bench.loaders.sources.image_source import (
    ImageSource,
    SourceError,
    Split,
    checked_split,
)


def find_cifar10(data_dir: Path | str | None = None) -> Path | None:
    """Return a local CIFAR-10: a folder of batches, or an archive.

    Args:
        data_dir: a folder `cifar-10-batches-py`, a folder that contains it or the archive
            `cifar-10-python.tar.gz`, or the archive itself. `None`: `./cifar-10-batches-py`, Keras'
            own cache, and what `download_cifar10` has left.

    Returns:
        A folder or an archive that exists, not read yet; `None` if none is found.

    Raises:
        SourceError: `data_dir` is given and there is no CIFAR-10.
    """
    if data_dir is not None:
        return _find_in(Path(data_dir).expanduser())
    datasets = keras_home() / "datasets"
    folders = (
        Path(FOLDER),
        datasets / f"{FOLDER}-target" / FOLDER,  # Keras 3: keras.datasets.cifar10.load_data
        datasets / FOLDER,  # Keras 2
    )
    archives = (
        cache_folder() / ARCHIVE_FILE,
        datasets / f"{FOLDER}-target_archive",  # Keras 3
        datasets / f"{FOLDER}.tar.gz",  # Keras 2
    )
    candidates = [folder for folder in folders if _has_batches(folder)]
    candidates += [archive for archive in archives if archive.is_file()]
    return candidates[0] if candidates else None


def prepare_cifar10(
    data_dir: Path | str | None, split: str, *, rows_per_batch: int = ROWS_PER_BATCH
) -> ImageSource:
    """Return one split of a local CIFAR-10; it is converted once and kept in the cache.

    Args:
        data_dir: see `find_cifar10`.
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
    found = find_cifar10(data_dir)
    if found is None:
        raise SourceError(
            f"No CIFAR-10 was found: neither `./{FOLDER}` nor Keras' cache `{keras_home()}` has "
            "it. Pass `data_dir` (--data-dir), or ask for the source `cifar10` to download it."
        )
    names = (*BATCH_FILES[split], META_FILE)
    inputs = _hash_inputs(found, names)
    key = _sha256(repr(sorted(inputs.items())).encode())[:16]
    target = cache_folder() / f"cifar10-{split}-{key}"
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


def _find_in(data_dir: Path) -> Path:
    candidates = (data_dir, data_dir / FOLDER, data_dir / ARCHIVE_FILE)
    for candidate in candidates:
        if candidate.is_file() or _has_batches(candidate):
            return candidate
    problem = "holds no CIFAR-10" if data_dir.exists() else "does not exist"
    raise SourceError(
        f"`data_dir` {problem}, got `{data_dir}`. Give a folder `{FOLDER}`, a folder that contains "
        f"`{FOLDER}` or `{ARCHIVE_FILE}`, or the archive itself."
    )


def _has_batches(folder: Path) -> bool:
    return any((folder / name).is_file() for name in PUBLISHED_MD5)


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
