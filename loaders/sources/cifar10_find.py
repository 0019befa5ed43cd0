"""Looks for CIFAR-10: folders of its batches, and archives; opens none of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from keras_loader_bench.loaders.sources.cache import cache_folder
from keras_loader_bench.loaders.sources.cifar10_archive import ARCHIVE_FILE, URL
from keras_loader_bench.loaders.sources.cifar10_editions import edition_in
from keras_loader_bench.loaders.sources.cifar10_files import FOLDER, PUBLISHED_MD5
from keras_loader_bench.loaders.sources.image_source import SourceError
from keras_loader_bench.loaders.sources.keras_home import expand_user, keras_home, writable_home

_INNER = "[cC][iI][fF][aA][rR]*"
"""Folders in which batches may lie: programs that unpack name some after the archive."""

_ARCHIVE = re.compile(r"cifar-?10-(python|batches-py).*(\.tar|\.tar\.gz|\.tgz|_archive)")
"""The names that browsers and Keras give it: `(1)`, without `.gz`, `-target_archive`."""


def find_cifar10(data_dir: Path | str | None = None) -> Path | None:
    """Return the most likely of the `copies_of_cifar10`; `None` if there is none."""
    return next(iter(copies_of_cifar10(data_dir)), None)


def copies_of_cifar10(data_dir: Path | str | None = None) -> list[Path]:
    """Return what may be CIFAR-10, in the order in which it should be tried.

    Args:
        data_dir: a folder `cifar-10-batches-py` or the archive `cifar-10-python.tar.gz`, or a
            folder that has one of them, also in folders that are named after CIFAR. `None`:
            `./cifar-10-batches-py`, or else Keras' own cache and what `download_cifar10` has left.

    Returns:
        Folders with every file, then archives, then folders that lack a file; not read yet.

    Raises:
        SourceError: `data_dir` is given and there is no CIFAR-10.
    """
    if data_dir is None:
        # Programs with a window unpack an archive into a folder of its name.
        here = _folders(Path(FOLDER)) + _folders(Path("cifar-10-python"))
        return _ordered(here, []) if here else _in_keras_cache()
    given = expand_user(data_dir)
    found = [given] if given.is_file() else _ordered(_folders(given), _archives(*_levels(given)))
    if found:
        return found
    problem = "holds no CIFAR-10" if given.exists() else "does not exist"
    if edition := edition_in(_levels(given)):
        problem = f"holds {edition}, which is not read"
    raise SourceError(
        f"`data_dir` {problem}, got `{given}`. Give a folder `{FOLDER}`, a folder that contains "
        f"`{FOLDER}` or `{ARCHIVE_FILE}`, or the archive itself: {URL}"
    )


def _in_keras_cache() -> list[Path]:
    folders, archives = [], []
    for home in dict.fromkeys((keras_home(), writable_home())):
        datasets = home / "datasets"
        folders += _folders(datasets / f"{FOLDER}-target")  # of Keras 3
        folders += _folders(datasets / FOLDER)  # of Keras 2
        archives += _archives(home / cache_folder().name, datasets)
    return _ordered(folders, archives)


def _ordered(folders: list[Path], archives: list[Path]) -> list[Path]:
    whole = [each for each in folders if all((each / name).is_file() for name in PUBLISHED_MD5)]
    return [*whole, *archives, *(each for each in folders if each not in whole)]


def _folders(root: Path) -> list[Path]:
    """Return the folders with batches of CIFAR-10, `root` first."""
    return [
        folder
        for folder in _levels(root)
        if any((folder / name).is_file() for name in PUBLISHED_MD5)
    ]


def _archives(*folders: Path) -> list[Path]:
    return [
        path
        for folder in folders
        for path in sorted(folder.glob(_INNER))
        if path.is_file() and _ARCHIVE.fullmatch(path.name)
    ]


def _levels(root: Path) -> Iterator[Path]:
    yield root
    for depth in range(1, 4):
        pattern = "/".join([_INNER] * depth)
        yield from (path for path in sorted(root.glob(pattern)) if path.is_dir())
