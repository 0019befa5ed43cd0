"""The sources of encoded images, by the name that a person gives."""

from __future__ import annotations

from keras_loader_bench.loaders.encoded.encoded_source import EncodedSource
from keras_loader_bench.loaders.encoded.image_folder import count_files, prepare_folder
from keras_loader_bench.loaders.encoded.photographs import (
    CAMERA_SIZE,
    QUALITY,
    SIZE,
    prepare_photographs,
)
from keras_loader_bench.loaders.sources.cache import remove_leftovers
from keras_loader_bench.loaders.sources.image_source import (
    ImageSource,
    SourceError,
    Split,
    checked_split,
)

SPLIT_SAMPLES: dict[Split, int] = {"train": 2000, "test": 500}
"""Synthetic photographs of each split, unless another number is asked for."""

StoredSource = ImageSource | EncodedSource
"""A source of either kind."""

_FOLDER = "folder:"
_SIZES = {"photographs": SIZE, "camera-photographs": CAMERA_SIZE}


def is_encoded(source: str) -> bool:
    """Whether a source that a person names has encoded images."""
    return source in _SIZES or source.startswith(_FOLDER)


def is_made(source: str) -> bool:
    """Whether a source that a person names has synthetic photographs."""
    return source in _SIZES


def count_images(source: str, split: str = "train") -> int:
    """Return how many images a source has unless a number is asked for.

    Raises:
        SourceError: it is a folder without class folders.
    """
    if source.startswith(_FOLDER):
        return count_files(source.removeprefix(_FOLDER))
    return SPLIT_SAMPLES[checked_split(split)]


def prepare_images(
    source: str,
    *,
    image_size: int = 224,
    num_samples: int | None = None,
    split: str = "train",
    seed: int = 0,
    quality: int = QUALITY,
) -> EncodedSource:
    """Return the encoded images that a person asks for, made where they are not yet in the cache.

    Args:
        source: `photographs`, of about 256 x 256 pixels; `camera-photographs`, of about
            3000 x 2000; or `folder:PATH`, see `prepare_folder`.
        image_size: height and width of what is cut from the centre of every image, in pixels.
        num_samples: rows, at least 1. Unless given, 2,000 photographs (500 of the split `test`), or
            all in the folder, which must have as many.
        split: `train` or `test`; of a folder, only what it is called.
        seed: of the photographs, or of the order of a folder's files, at least 0.
        quality: of the photographs' JPEG encoder, from 1 to 100; a folder's files have their own.

    Returns:
        The source, verified; every image is at least as large as `image_size`.

    Raises:
        SourceError: an argument is out of range, or images cannot be found, read or stored.
    """
    checked = checked_split(split)
    if seed < 0:
        raise SourceError(f"`seed` must not be negative, got {seed}.")
    remove_leftovers()
    if source.startswith(_FOLDER):
        path = source.removeprefix(_FOLDER)
        found = prepare_folder(path, image_size=image_size, split=checked, seed=seed)
        return found if num_samples is None else found.head(num_samples)
    if source not in _SIZES:
        names = ", ".join(f"`{name}`" for name in _SIZES)
        raise SourceError(f"`source` must be {names} or `folder:PATH`, got {source!r}.")
    return prepare_photographs(
        SPLIT_SAMPLES[checked] if num_samples is None else num_samples,
        checked,
        seed,
        image_size=image_size,
        size=_SIZES[source],
        quality=quality,
    )
