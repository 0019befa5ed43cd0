"""The sources of encoded images, by the name that a person gives."""

from __future__ import annotations

from keras_loader_bench.loaders.encoded.encoded_source import EncodedSource
from keras_loader_bench.loaders.encoded.image_folder import prepare_folder
from keras_loader_bench.loaders.encoded.photographs import CAMERA_SIZE, SIZE, prepare_photographs
from keras_loader_bench.loaders.sources.cache import remove_leftovers
from keras_loader_bench.loaders.sources.image_source import SourceError, Split, checked_split

SPLIT_SAMPLES: dict[Split, int] = {"train": 2000, "test": 500}
"""Synthetic photographs of each split, unless another number is asked for."""

_FOLDER = "folder:"


def prepare_images(
    source: str,
    *,
    image_size: int = 224,
    num_samples: int | None = None,
    split: str = "train",
    seed: int = 0,
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
    sizes = {"photographs": SIZE, "camera-photographs": CAMERA_SIZE}
    if source not in sizes:
        names = ", ".join(f"`{name}`" for name in sizes)
        raise SourceError(f"`source` must be {names} or `folder:PATH`, got {source!r}.")
    return prepare_photographs(
        SPLIT_SAMPLES[checked] if num_samples is None else num_samples,
        checked,
        seed,
        image_size=image_size,
        size=sizes[source],
    )
