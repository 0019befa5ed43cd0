"""The synthetic photographs: JPEGs from a seed that cost about what real ones do.

Like a photograph, each has flat and sharp-edged things, detail at every scale, sharper in some
places than in others, little detail in its colours, and noise. Over it lies the grating of its
class, of its own direction and width, with a random phase: no pixel and no mean colour tells a
class. The pixels are integer arithmetic on raw bits of PCG64; resizing, drawing and encoding are
Pillow's, so that the bytes are the same wherever Pillow and its libjpeg are.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import partial

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, features
from PIL import __version__ as pillow_version

from keras_loader_bench.loaders.encoded.encoded_source import EncodedSource
from keras_loader_bench.loaders.encoded.writing import EncodedImage, find_encoded, write_encoded
from keras_loader_bench.loaders.sources.cache import cache_folder
from keras_loader_bench.loaders.sources.description import key_of
from keras_loader_bench.loaders.sources.image_source import SourceError, Split
from keras_loader_bench.loaders.system.in_order import in_order

GENERATOR_VERSION = 1
"""Raised when the same parameters and the same Pillow give other bytes."""

CLASS_NAMES = tuple(f"grating_{number}" for number in range(10))

SIZE = (256, 256)
"""Width and height of the smallest photograph, in pixels."""

CAMERA_SIZE = (3000, 2000)

QUALITY, MOST_QUALITY = 90, 100
SUBSAMPLING = "4:2:0"

_SPLIT_NUMBERS: dict[Split, int] = {"train": 0, "test": 1}

_PERIOD = 64
_STEPS = ((0, 8), (8, 0), (8, 8), (8, -8), (0, 16), (16, 0), (16, 16), (16, -16), (8, 16), (16, 8))
"""Per class: how far the wave advances, in 1/64 periods, from a pixel to the one below / right."""

_DETAIL = {4: 12, 8: 24, 16: 32}
"""Width of a spot in pixels -> how strong such spots are where the image is sharp, in levels."""

_SHADES = {32: 32, 64: 32, 128: 32}
"""The same of what is as strong everywhere."""

_NOISE = 3
"""Levels of the noise in every pixel."""

_THINGS = 14
"""Flat ellipses, one over another."""

_GREY = 128


def prepare_photographs(
    num_samples: int,
    split: Split,
    seed: int = 0,
    *,
    image_size: int,
    size: tuple[int, int] = SIZE,
    quality: int = QUALITY,
) -> EncodedSource:
    """Return the synthetic photographs; they are made once and kept in the cache.

    Args:
        num_samples: any number of rows from 1. A smaller source is the beginning of a larger one.
        split: `train` and `test` share no image.
        seed: another seed gives other images, at least 0.
        image_size: see `EncodedSource`; at most the shorter side of `size`.
        size: width and height of the smallest; each side varies by up to an eighth more.
        quality: of the JPEG encoder, from 1 to 100. The pixels before are the same.

    Returns:
        A source of edition `synthetic`, verified. Its `inputs` name the versions of Pillow and
        libjpeg that its bytes depend on.

    Raises:
        SourceError: an argument is out of range, the disk is full or the cache is read-only.
    """
    if num_samples < 1:
        raise SourceError(f"`num_samples` must be positive, got {num_samples}.")
    if seed < 0:
        raise SourceError(f"`seed` must not be negative, got {seed}.")
    if not 1 <= quality <= MOST_QUALITY:
        raise SourceError(f"`quality` must be from 1 to {MOST_QUALITY}, got {quality}.")
    width, height = size
    if image_size > min(size):
        raise SourceError(
            f"`image_size` must be at most {min(size)}, the shorter side of the smallest "
            f"photograph, got {image_size}."
        )
    inputs = {
        "generator_version": str(GENERATOR_VERSION),
        "seed": str(seed),
        "size": f"{width}x{height}",
        "encoding": f"quality {quality}, {SUBSAMPLING}",
        "pillow": pillow_version,
        "libjpeg": features.version("libjpeg_turbo") or features.version("jpg") or "unknown",
    }
    # Another environment has a folder of its own: it must not take this one from a run.
    name = f"photographs-{width}x{height}-{split}-{num_samples}-quality{quality}-seed{seed}"
    target = cache_folder() / f"{name}-{key_of(inputs)}"
    return find_encoded(target, image_size=image_size, inputs=inputs) or write_encoded(
        target,
        name="photographs",
        split=split,
        edition="synthetic",
        class_names=CLASS_NAMES,
        image_size=image_size,
        images=_photographs(num_samples, split, seed, size, quality),
        needed_bytes=num_samples * width * height // 2,  # 2.2 bits per pixel, and more pixels
        inputs=inputs,
    )


def _photographs(
    num_samples: int, split: Split, seed: int, size: tuple[int, int], quality: int
) -> Iterator[EncodedImage]:
    made = partial(_photograph, size, (seed, _SPLIT_NUMBERS[split]), quality)
    return in_order(made, range(num_samples))


def _photograph(
    size: tuple[int, int], seed: tuple[int, int], quality: int, row: int
) -> EncodedImage:
    bits = np.random.PCG64(np.random.SeedSequence([*seed, row]))
    width, height = (side + int(bits.random_raw() >> 40) % (side // 8 + 1) for side in size)
    label, phase = (int(bits.random_raw() >> 40) % most for most in (len(_STEPS), _PERIOD))
    things = _things(bits, width, height)
    light, *colours = things.split()
    level = np.asarray(light).astype(np.int16)
    sharp = np.zeros((height, width), np.int16)
    for cell, strength in _DETAIL.items():
        sharp += _spots(bits, width, height, cell, strength)
    focus = np.asarray(_smooth(bits, width, height, 96)).astype(np.int16)
    level += (sharp * focus) >> 8
    for cell, strength in _SHADES.items():
        level += _spots(bits, width, height, cell, strength)
    level += _grating(label, phase, width, height)
    level += _bytes(bits, height, width) % np.uint8(_NOISE)
    planes = [Image.fromarray(level.clip(0, 255).astype(np.uint8)), *colours]
    file = io.BytesIO()
    photograph = Image.merge("YCbCr", planes)
    photograph.save(file, "JPEG", quality=quality, subsampling=SUBSAMPLING)
    return EncodedImage(encoded=file.getvalue(), height=height, width=width, label=label)


def _bytes(bits: np.random.PCG64, *shape: int) -> npt.NDArray[np.uint8]:
    count = int(np.prod(shape))
    raw = bits.random_raw(-(-count // 8)).astype("<u8", copy=False)
    return raw.view(np.uint8)[:count].reshape(shape)


def _smooth(bits: np.random.PCG64, width: int, height: int, cell: int) -> Image.Image:
    """Return random values, one per cell of so many pixels, with smooth changes in between."""
    grid = _bytes(bits, height // cell + 2, width // cell + 2)
    return Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC)


def _spots(
    bits: np.random.PCG64, width: int, height: int, cell: int, strength: int
) -> npt.NDArray[np.int16]:
    spots = np.asarray(_smooth(bits, width, height, cell)).astype(np.int16)
    return ((spots - np.int16(_GREY)) * np.int16(strength)) >> 7


def _things(bits: np.random.PCG64, width: int, height: int) -> Image.Image:
    """Return ellipses on a ground: brightness and two colours, `YCbCr`."""
    values = _bytes(bits, _THINGS + 1, 7).astype(int)
    colours = np.concatenate([48 + values[:, :1] * 5 // 8, 96 + values[:, 1:3] // 4], axis=1)
    image = Image.new("YCbCr", (width, height), tuple(colours[0].tolist()))
    draw = ImageDraw.Draw(image)
    for number, (x, y, across, down) in enumerate(values[1:, 3:].tolist(), 1):
        # The first ones are large, the last ones small.
        middle = x * width // 255, y * height // 255
        most = max(2, min(width, height) * 2 // (number + 4))
        reach = most * (64 + across) // 320, most * (64 + down) // 320
        box = [middle[0] - reach[0], middle[1] - reach[1]]
        box += [middle[0] + reach[0], middle[1] + reach[1]]
        draw.ellipse(box, fill=tuple(colours[number].tolist()))
    return image


def _grating(label: int, phase: int, width: int, height: int) -> npt.NDArray[np.int16]:
    """Return a triangular wave of -12 to 12 levels."""
    down, right = _STEPS[label]
    rows, columns = (np.arange(side, dtype=np.int16) for side in (height, width))
    position = (phase + down * rows % _PERIOD)[:, None] + (right * columns % _PERIOD)
    wave: npt.NDArray[np.int16] = np.abs(position % _PERIOD - _PERIOD // 2) - _PERIOD // 4
    return wave * np.int16(3) >> 2
