"""The contract of decoding: which pixels the bytes of an encoded image stand for.

JPEG is decoded as libjpeg-turbo does by default: accurate integer DCT (`JDCT_ISLOW`), smooth
("fancy") upsampling of the colours. PNG, BMP and GIF are decoded by Pillow. What an image is, its
bytes say, not the name of its file. An EXIF orientation is not applied, grey is replicated to three
channels, transparency is dropped; what decoders do not agree on is refused. The one size that a
batch needs is cut from the centre: no two libraries resize alike, and every one can slice.
https://libjpeg-turbo.org/Documentation/Documentation
"""

from __future__ import annotations

import io
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from keras_loader_bench.loaders.encoded.views import CENTRE, View, cut
from keras_loader_bench.loaders.sources.stored_array import SourceError, reason

Encoded = bytes | memoryview
"""The bytes of one image file."""

Pixels = npt.NDArray[np.uint8]

_BY_PILLOW = ("PNG", "BMP", "GIF")
"""What `image_dataset_from_directory` reads besides JPEG."""

_MODES = {"1", "L", "LA", "P", "PA", "RGB", "RGBA"}
"""Pillow's modes with 8 bits a channel, or fewer, that have one meaning in RGB."""

_PNG_BIT_DEPTH = 24
"""The byte of a PNG with the bits of a channel: https://www.w3.org/TR/png-3/#11IHDR"""


class NoDecoderError(SourceError):
    """The package that decodes JPEG is not installed."""


def decode(
    encoded: Encoded,
    image_size: int,
    out: npt.NDArray[Any] | None = None,
    view: View = CENTRE,
) -> npt.NDArray[Any]:
    """Return the centre of an image, or another part of it.

    It may be called from several threads at once; Python's lock is free while a JPEG is decoded.

    Args:
        encoded: JPEG, PNG, BMP or GIF.
        image_size: height and width of the result, in pixels, at most those of the image.
        out: where to write it, shape `(image_size, image_size, 3)`, of any dtype that has 0 to 255;
            uint8 and made unless given.
        view: which part.

    Returns:
        RGB of shape `(image_size, image_size, 3)`: of the centre, rows and columns from
        `(height - image_size) // 2` and `(width - image_size) // 2` of what `decode_whole` returns.

    Raises:
        SourceError: the bytes cannot be decoded, or the image is smaller.
    """
    image = decode_whole(encoded)
    height, width, _ = image.shape
    down, right, _ = view
    if min(height - 2 * abs(down), width - 2 * abs(right)) < image_size:
        most = max(abs(down), abs(right))
        raise SourceError(too_small(height, width, image_size + 2 * most))
    part = cut(image, image_size, view)
    if out is None:
        return np.ascontiguousarray(part)
    out[...] = part
    return out


def decode_whole(encoded: Encoded) -> Pixels:
    """Return all pixels of an image.

    A JPEG that libjpeg-turbo warns of is refused: where the data are damaged, libraries guess.

    Args:
        encoded: JPEG, PNG, BMP or GIF.

    Returns:
        uint8 RGB of shape `(height, width, 3)`.

    Raises:
        SourceError: the bytes cannot be decoded, or do not stand for one RGB image of 8 bits. The
            message says what is wrong with them, as a clause without a subject.
    """
    if not len(encoded):
        raise SourceError("has 0 bytes; copy it again, or delete it")
    try:
        return _decode_jpeg(encoded) if is_jpeg(encoded) else _decode_by_pillow(encoded)
    except SourceError:
        raise
    except Image.DecompressionBombError as error:
        raise SourceError(f"is too large ({reason(error).removesuffix('.')}); shrink it") from error
    except Exception as error:  # a decoder raises whatever a damaged file makes it stumble over
        raise SourceError(
            f"is damaged ({reason(error).removesuffix('.')}); copy it again, or delete it"
        ) from error


def is_jpeg(encoded: Encoded) -> bool:
    """Whether an image is a JPEG, whatever its file is called."""
    return bytes(encoded[:3]) == b"\xff\xd8\xff"


def extension(encoded: Encoded) -> str:
    """Return how the name of a file with such bytes ends, such as `jpg`."""
    if is_jpeg(encoded):
        return "jpg"
    return {b"\x89P": "png", b"BM": "bmp", b"GI": "gif"}[bytes(encoded[:2])]


def too_small(height: int, width: int, image_size: int) -> str:
    """Return what is wrong with an image that is smaller than what is cut from it."""
    return (
        f"has {width} x {height} pixels, fewer than the image size {image_size}; ask for a smaller "
        "one, or delete it"
    )


def _decode_jpeg(encoded: Encoded) -> Pixels:
    simplejpeg = _simplejpeg()
    if simplejpeg.decode_jpeg_header(encoded)[2] in {"CMYK", "YCCK"}:
        remedy = '`PIL.Image.open(path).convert("RGB").save(path)`'
        raise SourceError(f"is a CMYK image; convert it with {remedy}")
    image: Pixels = simplejpeg.decode_jpeg(encoded)
    return image


@cache
def _simplejpeg() -> Any:
    """Import the decoder when the first image is decoded: sources can be described without."""
    try:
        import simplejpeg
    except ModuleNotFoundError as error:
        raise NoDecoderError(
            "`simplejpeg` is not installed; `pip install 'keras-loader-bench[images]'` adds it"
        ) from error
    return simplejpeg


def _decode_by_pillow(encoded: Encoded) -> Pixels:
    try:
        image = Image.open(io.BytesIO(encoded))
    except UnidentifiedImageError as error:
        raise SourceError("is no image; delete it, or rename it") from error
    with image:
        if image.format not in _BY_PILLOW:
            raise SourceError(f"is a {image.format} image; save it as JPEG or PNG")
        if getattr(image, "n_frames", 1) > 1:
            raise SourceError("is an animation; save one of its frames")
        palette = image.format == "BMP" and image.mode in {"1", "P"}
        if palette or (image.format == "GIF" and "transparency" in image.info):
            # TensorFlow 2.21 gives numbers of the palette, or black, where Pillow gives colours.
            raise SourceError(
                f"is a {image.format} that libraries read differently; save it as PNG"
            )
        if (image.format == "PNG" and encoded[_PNG_BIT_DEPTH] == 16) or image.mode not in _MODES:
            raise SourceError("does not have 8 bits a channel; save it with 8")
        # By way of RGBA, or Pillow may warn that the transparency of a palette is dropped.
        through = image.convert("RGBA") if image.mode == "P" else image
        return np.asarray(through.convert("RGB"))
