"""`folder:PATH`: a person's own folder of class folders with image files.

The files, classes and labels are those that `keras.utils.image_dataset_from_directory` takes:
https://keras.io/api/data_loading/image/. Every image is decoded once before any is used, and all
that cannot be are named together.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_loader_bench.loaders.encoded.decoding import NoDecoderError, decode_whole, too_small
from keras_loader_bench.loaders.encoded.encoded_source import EncodedSource
from keras_loader_bench.loaders.encoded.writing import EncodedImage, find_encoded, write_encoded
from keras_loader_bench.loaders.sources.cache import cache_folder
from keras_loader_bench.loaders.sources.description import is_text
from keras_loader_bench.loaders.sources.image_source import SourceError, Split
from keras_loader_bench.loaders.sources.keras_home import expand_user
from keras_loader_bench.loaders.sources.stored_array import reason
from keras_loader_bench.loaders.system.in_order import in_order
from keras_loader_bench.loaders.system.text import shown

EXTENSIONS = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
"""Files that `image_dataset_from_directory` takes, in upper or lower case; it ignores others."""

_SPLITS = {"test", "train", "training", "val", "valid", "validation"}
_NAMED = 10
"""Files that a message names; of the others it gives the number."""


@dataclass(frozen=True)
class _File:
    path: str
    label: int
    size: int
    """Bytes; -1: it is no file that can be read."""

    changed_ns: int


def prepare_folder(
    path: Path | str, *, image_size: int, split: Split, seed: int = 0
) -> EncodedSource:
    """Return the images of a folder; they are checked and copied once and kept in the cache.

    A file that was changed, by its size or its time, makes the folder another source.

    Args:
        path: has one folder for each class; images may also lie in folders below.
        image_size: see `EncodedSource`.
        split: what the source is called; it chooses no files.
        seed: of the order. Its rows are drawn once, so that any number of the first ones has
            about every class, and that tar shards and TFRecord files are mixed.

    Returns:
        A source of edition `unofficial`, verified. A class has the number that Keras gives it, an
        empty one too.

    Raises:
        SourceError: there are no class folders, or no images; images are damaged, of another kind
            or smaller than `image_size`; or the cache cannot be written to.
    """
    root = _root(path)
    class_names = _class_names(root)
    listed = list(_files(root, class_names))
    if not listed:
        raise SourceError(
            f"No class folder of `{_shown(root)}` has an image: a file whose name ends in "
            f"{', '.join(EXTENSIONS)}."
        )
    files = [listed[place] for place in np.random.default_rng(seed).permutation(len(listed))]
    listing_sha256 = _listing_sha256(root, class_names, listed)
    inputs = {"listing_sha256": listing_sha256, "seed": str(seed)}
    target = cache_folder() / f"folder-{split}-{listing_sha256[:16]}-seed{seed}"
    source = find_encoded(target, image_size=image_size, inputs=inputs) or write_encoded(
        target,
        name="folder",
        split=split,
        edition="unofficial",
        class_names=class_names,
        image_size=image_size,
        images=_images(root, files, image_size),
        needed_bytes=sum(file.size for file in files),
        inputs=inputs,
    )
    if len(rows := source.too_small()):
        sizes = source.sizes[rows].tolist()
        raise _unreadable(
            root,
            [
                (files[row].path, too_small(height, width, image_size))
                for row, (height, width) in zip(rows.tolist(), sizes, strict=True)
            ],
        )
    return source


def count_files(path: Path | str) -> int:
    """Return how many images a folder has by the names of its files.

    Raises:
        SourceError: there are no class folders.
    """
    root = _root(path)
    return sum(1 for _ in _files(root, _class_names(root)))


def _root(path: Path | str) -> str:
    """Return the one name of a folder, however it was given: it is part of what identifies it."""
    return os.path.normpath(expand_user(path).absolute())


def _class_names(root: str) -> tuple[str, ...]:
    """Return the names of the class folders as Keras sorts them, hidden ones left out."""
    try:
        with os.scandir(root) as entries:
            names = sorted(e.name for e in entries if e.is_dir() and not e.name.startswith("."))
    except OSError as error:
        raise SourceError(
            f"`{_shown(root)}` cannot be read: {reason(error)}. Name a folder of class folders."
        ) from error
    if not names:
        raise SourceError(
            f"`{_shown(root)}` has no class folders. Put the images of each class into a folder "
            "of its own, named after the class."
        )
    if _SPLITS.issuperset(name.lower() for name in names):
        raise SourceError(
            f"`{_shown(root)}` has splits, not classes: {', '.join(names)}. Name one of them: "
            f"`folder:{_shown(os.path.join(root, names[0]))}`."  # noqa: PTH118
        )
    if wrong := [name for name in names if not is_text(name)]:
        raise SourceError(
            f"The name of the class folder `{_shown(wrong[0])}` has a character that cannot be "
            "printed. Rename it."
        )
    return tuple(names)


def _files(root: str, class_names: tuple[str, ...]) -> Iterator[_File]:
    """Yield all image files in the order of `image_dataset_from_directory(shuffle=False)`.

    Links to files and to class folders are followed, links to folders below these are not.

    Raises:
        SourceError: a folder cannot be read. Keras leaves its images out without a word.
    """

    def refuse(error: OSError) -> None:
        raise SourceError(
            f"The folder `{_shown(str(error.filename))}` cannot be read: {reason(error)}. Make it "
            "readable, or delete it."
        ) from error

    for label, name in enumerate(class_names):
        path = os.path.join(root, name)  # noqa: PTH118
        walk = os.walk(path, onerror=refuse)  # `Path.walk` needs Python 3.12
        for folder, _, files in sorted(walk, key=lambda found: found[0]):
            for file in sorted(files):
                if file.lower().endswith(EXTENSIONS):
                    yield _file(os.path.join(folder, file), label)  # noqa: PTH118


def _file(path: str, label: int) -> _File:
    try:
        about = os.stat(path)  # noqa: PTH116 - a path for each of a million files takes seconds
    except OSError:
        return _File(path, label, -1, 0)
    size = about.st_size if stat.S_ISREG(about.st_mode) else -1
    return _File(path, label, size, about.st_mtime_ns)


def _listing_sha256(root: str, class_names: tuple[str, ...], files: list[_File]) -> str:
    # A class without images has a number too.
    digest = hashlib.sha256(os.fsencode("\0".join([root, *class_names, ""])))
    for file in files:
        line = b"\0%s\0%d\0%d\0%d" % (
            os.fsencode(file.path),
            file.label,
            file.size,
            file.changed_ns,
        )
        digest.update(line)
    return digest.hexdigest()


def _images(root: str, files: list[_File], image_size: int) -> Iterator[EncodedImage]:
    """Yield all images; if any of them cannot be used, raise in the end, when all are known."""
    problems = []
    for file, found in zip(
        files, in_order(lambda file: _checked(file, image_size), files), strict=True
    ):
        if isinstance(found, str):
            problems.append((file.path, found))
        elif not problems:
            yield found
    if problems:
        raise _unreadable(root, problems)


def _checked(file: _File, image_size: int) -> EncodedImage | str:
    """Return an image that was decoded as a trial, or what is wrong with it."""
    try:
        if file.size < 0:
            return "is no file that can be read; delete it, or mend the link"
        encoded = Path(file.path).read_bytes()
        if len(encoded) != file.size:
            return "was changed while it was read; try again"
        height, width, _ = decode_whole(encoded).shape
    except OSError as error:
        return f"cannot be read ({reason(error)}); make it readable, or delete it"
    except NoDecoderError:
        raise  # that is no fault of the file
    except SourceError as error:
        return str(error)
    if min(height, width) < image_size:
        return too_small(height, width, image_size)
    return EncodedImage(encoded=encoded, height=height, width=width, label=file.label)


def _unreadable(root: str, problems: list[tuple[str, str]]) -> SourceError:
    inside = len(os.path.join(root, ""))  # noqa: PTH118
    lines = [f"  `{_shown(path[inside:])}` {what}" for path, what in sorted(problems)[:_NAMED]]
    if len(problems) > _NAMED:
        lines.append(f"  and {len(problems) - _NAMED} more")
    count = "1 file" if len(problems) == 1 else f"{len(problems)} files"
    return SourceError("\n".join([f"{count} in `{_shown(root)}` cannot be used:", *lines]))


def _shown(path: str) -> str:
    """Return a path whose name may be no UTF-8, as text."""
    return shown(os.fsencode(path).decode("utf-8", "backslashreplace"))
