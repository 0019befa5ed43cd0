"""Image files of every kind, as bytes, and folders of them."""

import io
import zlib
from itertools import cycle

import numpy as np
from PIL import Image

from keras_loader_bench.loaders.encoded.writing import EncodedImage, write_encoded

_random = np.random.default_rng(5)
_coarse = _random.integers(0, 256, (10, 12, 4), np.uint8)

RGBA = np.asarray(Image.fromarray(_coarse).resize((96, 80), Image.Resampling.BICUBIC))
"""Smooth changes with four channels, uint8 `(80, 96, 4)`."""

RGB = np.ascontiguousarray(RGBA[..., :3])


def save(image, kind, **options):
    """The bytes of an image file; `image` is an array or a Pillow image."""
    file = io.BytesIO()
    image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    image.save(file, kind, **options)
    return file.getvalue()


def jpeg(image=RGB, **options):
    return save(image, "JPEG", **{"quality": 90, **options})


def rotated_by_exif():
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turn by 90 degrees to show it
    return jpeg(exif=exif)


def png_of_16_bits(channels):
    pixels = _random.integers(0, 2**16, (80, 96, channels), np.uint16).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    header = np.array([96, 80], ">u4").tobytes() + bytes([16, {1: 0, 3: 2}[channels], 0, 0, 0])
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")
        for kind, data in chunks
    )


_image = Image.fromarray(RGB)
_palette = _image.quantize(64)

READ = {
    "JPEG, 4:2:0": jpeg(),
    "JPEG, grey": jpeg(_image.convert("L")),
    "JPEG, with EXIF": rotated_by_exif(),
    "PNG": save(RGB, "PNG"),
    "PNG, alpha": save(RGBA, "PNG"),
    "PNG, grey": save(_image.convert("L"), "PNG"),
    "PNG, grey and alpha": save(Image.fromarray(RGBA).convert("LA"), "PNG"),
    "PNG, black and white": save(_image.convert("1"), "PNG"),
    "PNG, palette": save(_palette, "PNG"),
    "PNG, transparent palette": save(_palette, "PNG", transparency=3),
    "PNG, palette with alphas": save(_palette, "PNG", transparency=bytes(range(0, 256, 4))),
    "BMP": save(RGB, "BMP"),
    "GIF": save(RGB, "GIF"),
}
"""Kind -> a file of it that is read."""

REFUSED = {
    "0 bytes": (b"", "0 bytes"),
    "text": (b"Not an image at all." * 9, "is no image"),
    "cut off": (jpeg()[:-300], "is damaged"),
    "header alone": (jpeg()[:100], "is damaged"),
    "stray bytes": (jpeg()[:-2] + b"stray" * 8 + jpeg()[-2:], "is damaged"),
    "PNG, cut off": (save(RGB, "PNG")[:-300], "is damaged"),
    "CMYK": (jpeg(_image.convert("CMYK")), r"is a CMYK image; convert it with .*\"RGB\""),
    "PNG, 16 bits grey": (png_of_16_bits(1), "8 bits a channel"),
    "PNG, 16 bits colour": (png_of_16_bits(3), "8 bits a channel"),
    "GIF, animated": (
        save(RGB, "GIF", save_all=True, append_images=[_image.rotate(90)]),
        "is an animation",
    ),
    "PNG, animated": (
        save(RGB, "PNG", save_all=True, append_images=[_image.rotate(90)]),
        "is an animation",
    ),
    "GIF, transparent": (save(_palette, "GIF", transparency=3), "read differently"),
    "BMP, palette": (save(_palette, "BMP"), "read differently"),
    "WebP": (save(RGB, "WEBP"), "is a WEBP image; save it as JPEG or PNG"),
    "TIFF": (save(RGB, "TIFF"), "is a TIFF image"),
}
"""Kind -> a file of it that is refused, and what the message says."""


def write(target, files=None, labels=(0, 1, 2), **changes):
    """A source of all kinds that are read, or of some `(bytes, label)`."""
    if files is None:
        files = list(zip(READ.values(), cycle(labels), strict=False))
    arguments = {
        "name": "folder",
        "split": "train",
        "edition": "unofficial",
        "class_names": ("a", "b", "c"),
        "image_size": 64,
        "images": [
            EncodedImage(encoded=encoded, height=80, width=96, label=label)
            for encoded, label in files
        ],
        "needed_bytes": 0,
        "inputs": {"listing_sha256": "0" * 64},
    }
    return write_encoded(target, **{**arguments, **changes})
