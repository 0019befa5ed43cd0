"""Reads the images of a reference without the code that loaders read them with."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from keras_loader_bench.loaders.contract import Rows, Source
from keras_loader_bench.loaders.encoded.encoded_source import EncodedSource
from keras_loader_bench.loaders.encoded.views import Views
from keras_loader_bench.loaders.system.in_order import in_order


def reference_images(
    source: Source, rows: Rows, views: Views | None = None
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.integer[Any]]]:
    """Return images and labels as `source.read` does; Pillow decodes those that are encoded.

    Args:
        source: stored or encoded images.
        rows: shape `(n,)`.
        views: which part of each encoded image; `None`: there are none.

    Returns:
        uint8 of shape `(n, *sample_shape)`, and labels of shape `(n,)`.
    """
    if not isinstance(source, EncodedSource):
        return source.read(rows)
    assert views is not None, "encoded images come with their views"

    def image(place: tuple[int, list[int]]) -> npt.NDArray[np.uint8]:
        row, view = place
        return _part(source.encoded(row), source.image_size, *view)

    images = in_order(image, zip(rows.tolist(), views.tolist(), strict=True))
    return np.stack(list(images)), source.labels[rows]


def _part(
    encoded: memoryview, size: int, down: int, right: int, mirrored: int
) -> npt.NDArray[np.uint8]:
    with Image.open(io.BytesIO(encoded)) as image:
        left, top = (image.width - size) // 2 + right, (image.height - size) // 2 + down
        part = image.convert("RGB").crop((left, top, left + size, top + size))
        flipped = part.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirrored else part
        return np.asarray(flipped)
