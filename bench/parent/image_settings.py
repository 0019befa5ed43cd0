"""What a run of encoded images measures, if nothing else is asked for."""

from __future__ import annotations

from typing import Any

import pytest

from keras_loader_bench.bench.parent.named_modules import is_named
from keras_loader_bench.bench.plan.options import CASE_OPTIONS
from keras_loader_bench.bench.plan.protocol import Protocol
from keras_loader_bench.loaders.encoded.known_images import count_images, is_encoded, is_made
from keras_loader_bench.loaders.encoded.photographs import MOST_QUALITY
from keras_loader_bench.loaders.encoded.registry import DECODER, IMAGE_LOADERS
from keras_loader_bench.loaders.registry import missing_package
from keras_loader_bench.loaders.sources.image_source import SourceError

QUICK_IMAGES = "256"
QUICK_IMAGE_LOADERS = [
    *[name for name, entry in IMAGE_LOADERS.items() if entry.own][:1],
    *[name for name, entry in IMAGE_LOADERS.items() if not (entry.own or entry.packages)][:1],
]
"""For a smoke test: one of this suite's own, and one that needs no package."""

PROTOCOL = Protocol(processes=3, rounds=4, most_rounds=4)
"""Some loaders take 0.2 to 1.7 s to their first batch, and rounds differ by as much."""

IMAGE_SIZE = 224
"""Pixels a side."""


def choose_source(config: pytest.Config) -> None:
    """Let photographs be the source of `bench_images.py`, unless another one is given.

    Raises:
        ValueError: one without encoded images, or a user's input, is asked for as well.
    """
    if not is_named(config, "bench_images.py"):
        return
    source = config.getoption("source")
    if config.getoption("input"):
        raise ValueError("`bench_images.py` measures no `--input`; leave out one of the two.")
    if source == "auto":
        config.option.source = "photographs"
    elif not is_encoded(source):
        raise ValueError(
            f"`bench_images.py` measures encoded images, and `--source {source}` has none; use "
            "`photographs`, `camera-photographs` or `folder:PATH`."
        )


def images_of(config: pytest.Config) -> tuple[str, str]:
    """Return the samples and the loaders, as on the command line.

    Raises:
        ValueError: an option does not go with encoded images, or the folder has no classes.
    """
    get = config.getoption
    if reason := missing_package((DECODER,)):  # of reference and ceiling, whatever the loaders need
        raise ValueError(f"Encoded images need a decoder: {reason}.")
    if get("data_dir"):
        raise ValueError("`--data-dir` is of CIFAR-10; name a folder with `--source folder:PATH`.")
    if get("step_ms") or get("memory_budget"):
        raise ValueError(
            "Encoded images are measured without emulated steps and memory budgets; leave out "
            "`--step-ms` and `--memory-budget`."
        )
    try:
        found = count_images(get("source"))
    except SourceError as error:
        raise ValueError(str(error)) from None
    samples = str(min(found, int(QUICK_IMAGES)) if get("quick") else found)
    names = sorted(IMAGE_LOADERS, key=lambda name: not IMAGE_LOADERS[name].own)
    loaders = QUICK_IMAGE_LOADERS if get("quick") else names
    return get("samples") or samples, get("loaders") or ",".join(loaders)


def refuse_options(config: pytest.Config) -> None:
    """Refuse options of encoded images where the source has none.

    Raises:
        ValueError: one of them is given.
    """
    for name in ("image_size", "image_quality", "image_order", "augment"):
        flag = CASE_OPTIONS[name].flag
        if config.getoption(name) is not None:
            raise ValueError(
                f"`{flag}` belongs to encoded images, and `--source {config.getoption('source')}` "
                "has none; use `--source photographs` or `--source folder:PATH`."
            )


def complete(values: dict[str, list[Any]], source: str) -> None:
    """Complete the values of a run's options with what encoded images have.

    Args:
        values: name of an option -> its values; gets the size of images where none is given.
        source: as on the command line.

    Raises:
        ValueError: an image size is 0, which is that of other sources; or a quality is given for
            files that are there already, or is none.
    """
    if 0 in values.setdefault("image_size", [IMAGE_SIZE]):
        raise ValueError("`--image-size` must be positive, got 0.")
    qualities = values.get("image_quality", [])
    if qualities and not is_made(source):
        raise ValueError(
            f"`--image-quality` is of photographs that are made, and the files of `{source}` have "
            "their own; leave it out."
        )
    if wrong := [quality for quality in qualities if not 1 <= quality <= MOST_QUALITY]:
        raise ValueError(f"`--image-quality` must be from 1 to {MOST_QUALITY}, got {wrong[0]}.")
