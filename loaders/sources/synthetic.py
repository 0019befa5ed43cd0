"""The synthetic source: images of CIFAR-10's shape, made from a seed.

Every class is a grating of its own direction and width; phase, colour
and noise are random, so that no pixel and no mean colour tells a class: a model must learn filters.
Everything is integer arithmetic on raw bits of PCG64, whose stream numpy guarantees to keep: the
bytes, and so the digests, are the same on every machine.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from keras_loader_bench.loaders.sources.cache import Chunk, cache_folder, find_source, write_source
from keras_loader_bench.loaders.sources.cifar10_files import IMAGE_SHAPE
from keras_loader_bench.loaders.sources.image_source import ImageSource, SourceError, Split

GENERATOR_VERSION = 1
"""Raised when the same parameters give other bytes."""

CLASS_NAMES = tuple(f"grating_{number}" for number in range(10))

_CHUNK_ROWS = 4096
_SPLIT_NUMBERS: dict[Split, int] = {"train": 0, "test": 1}

_PERIOD = 64
_PHASES = np.arange(0, _PERIOD, 4)
_STEPS = ((0, 8), (8, 0), (8, 8), (8, -8), (0, 16), (16, 0), (16, 16), (16, -16), (8, 16), (16, 8))
"""Per class: how far the wave advances, in 1/64 periods, from a pixel to the one below / right."""

_COLOURS = np.array(
    [[8, 8, 8], [8, 5, 3], [3, 8, 5], [5, 3, 8], [8, 3, 5], [5, 8, 3], [3, 5, 8], [6, 6, 6]]
)
"""The amplitude of the wave in red, green and blue, in eighths."""


def prepare_synthetic(num_samples: int, split: Split, seed: int = 0) -> ImageSource:
    """Return the synthetic source; it is made once and kept in the cache.

    Args:
        num_samples: any number of rows from 1. A smaller source is the beginning of a larger one.
        split: `train` and `test` share no image.
        seed: another seed gives other images, at least 0.

    Returns:
        A source of edition `synthetic`, verified.

    Raises:
        SourceError: an argument is out of range, the disk is full or the cache is read-only.
    """
    if num_samples < 1:
        raise SourceError(f"`num_samples` must be positive, got {num_samples}.")
    if seed < 0:
        raise SourceError(f"`seed` must not be negative, got {seed}.")
    inputs = {"generator_version": str(GENERATOR_VERSION), "seed": str(seed)}
    name = f"synthetic-{split}-{num_samples}-seed{seed}-v{GENERATOR_VERSION}"
    target = cache_folder() / name
    return find_source(target, inputs=inputs) or write_source(
        target,
        name="synthetic",
        split=split,
        edition="synthetic",
        class_names=CLASS_NAMES,
        sample_shape=IMAGE_SHAPE,
        num_samples=num_samples,
        chunks=_chunks(num_samples, split, seed),
        inputs=inputs,
    )


def _chunks(num_samples: int, split: Split, seed: int) -> Iterator[Chunk]:
    waves = _waves()
    for number, start in enumerate(range(0, num_samples, _CHUNK_ROWS)):
        images, labels = _chunk(waves, [seed, _SPLIT_NUMBERS[split], number])
        rows = min(_CHUNK_ROWS, num_samples - start)
        yield images[:rows], labels[:rows]


def _chunk(waves: npt.NDArray[np.uint8], seed: list[int]) -> Chunk:
    """Return `_CHUNK_ROWS` samples; 128 of the 256 levels are noise, 112 the wave."""
    random = np.random.PCG64(np.random.SeedSequence(seed))
    draws = random.random_raw(_CHUNK_ROWS)
    labels = (draws >> np.uint64(32)) % np.uint64(len(_STEPS))
    phases, colours = draws % np.uint64(len(_PHASES)), draws >> np.uint64(8)
    images = waves[labels, colours % np.uint64(len(_COLOURS)), phases]
    noise = random.random_raw(images.size // 8).astype("<u8", copy=False).view(np.uint8)
    images += (noise >> np.uint8(1)).reshape(images.shape)
    return images, labels.astype(np.uint8)


def _waves() -> npt.NDArray[np.uint8]:
    """Return every noiseless image: uint8 `(classes, colours, phases, 32, 32, 3)`, about 4 MiB."""
    height, width, _ = IMAGE_SHAPE
    down, right = np.array(_STEPS).T[:, :, None, None, None]
    position = _PHASES[:, None, None] + down * np.arange(height)[:, None] + right * np.arange(width)
    triangle = np.abs(position % _PERIOD - _PERIOD // 2)  # 0 to 32
    amplitude = _COLOURS[:, None, None, None, :]
    waves: npt.NDArray[np.int64] = 7 * triangle[:, None, ..., None] * amplitude // 16  # 0 to 112
    return waves.astype(np.uint8)
