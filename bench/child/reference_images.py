"""Reads the images of a reference without the code that loaders read them with."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from keras_loader_bench.loaders.contract import Rows, Source
from keras_loader_bench.loaders.encoded.encoded_source import EncodedSource


def reference_images(
    source: Source, rows: Rows
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.integer[Any]]]:
    """Return images and labels as `source.read` does; Pillow decodes those that are encoded.

    Args:
        source: stored or encoded images.
        rows: shape `(n,)`.

    Returns:
        uint8 of shape `(n, *sample_shape)`, and labels of shape `(n,)`.
    """
    if not isinstance(source, EncodedSource):
        return source.read(rows)
    images = [_centre(source.encoded(row), source.image_size) for row in rows.tolist()]
    return np.stack(images), source.labels[rows]


def _centre(encoded: memoryview, size: int) -> npt.NDArray[np.uint8]:
    with Image.open(io.BytesIO(encoded)) as image:
        left, top = (image.width - size) // 2, (image.height - size) // 2
        return np.asarray(image.convert("RGB").crop((left, top, left + size, top + size)))
