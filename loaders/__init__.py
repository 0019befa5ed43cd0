"""Input pipelines for Keras that deliver the same batches.

Importing this package loads no framework: a loader's module is imported when the loader is made.
"""

from __future__ import annotations

from typing import Any

from keras_loader_bench.loaders.contract import Batch, Loader, LoaderOptions
from keras_loader_bench.loaders.order import sample_order
from keras_loader_bench.loaders.registry import LOADERS, class_of
from keras_loader_bench.loaders.shards import shard_rows
from keras_loader_bench.loaders.sources.image_source import ImageSource

__all__ = [
    "LOADERS",
    "Batch",
    "CIFAR10Sequence",
    "ImageSource",
    "Loader",
    "LoaderOptions",
    "ScalePixels",
    "bridge",
    "make_loader",
    "sample_order",
    "shard_rows",
]


def make_loader(name: str, source: ImageSource, options: LoaderOptions) -> Loader:
    """Import the loader's module, and with it its framework, and make the loader.

    Args:
        name: a key of `LOADERS`.
        source: the stored images.
        options: batch size, the form of the pixels, workers.

    Raises:
        ValueError: no loader has this name.
        ImportError: a package that the loader needs is missing.
    """
    if name not in LOADERS:
        raise ValueError(f"Unknown loader `{name}`; the loaders are {', '.join(sorted(LOADERS))}.")
    loader: Loader = class_of(LOADERS[name], __name__)(source, options)
    return loader


def __getattr__(name: str) -> Any:
    """Import what needs Keras when it is asked for."""
    if name == "CIFAR10Sequence":
        from keras_loader_bench.loaders.sequence.cifar10_sequence import CIFAR10Sequence

        return CIFAR10Sequence
    if name == "ScalePixels":
        from keras_loader_bench.loaders.layers import ScalePixels

        return ScalePixels
    if name == "bridge":
        from keras_loader_bench.loaders.bridges.py_dataset_bridge import bridge

        return bridge
    raise AttributeError(f"module `{__name__}` has no attribute `{name}`.")
