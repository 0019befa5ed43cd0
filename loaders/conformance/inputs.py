"""Makes the inputs that Keras is tried with: small, and with samples that all differ.

Imports the framework of a kind when it is made, and Keras: `KERAS_BACKEND` must be set before.
"""

from __future__ import annotations

import inspect
import math
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import keras
import numpy as np

from keras_loader_bench.loaders import LOADERS, bridge, make_loader
from keras_loader_bench.loaders.conformance.expected import batches_of
from keras_loader_bench.loaders.conformance.samples import Samples, rows_of
from keras_loader_bench.loaders.conformance.setups import BATCH, Setup
from keras_loader_bench.loaders.contract import LoaderOptions
from keras_loader_bench.loaders.sources.known_sources import prepare_source

_WORKERS = 2
_QUEUE = 2
"""Batches that Keras' workers read ahead: fewer than there are, as with real data, where Keras'
default is 10."""

_SIDE = 8
"""Pixels of an image file."""


class NotThereError(RuntimeError):
    """This Keras has no such input; the message says so."""


@dataclass(frozen=True)
class Input:
    """One input, which `fit` can be given several times unless it is a generator."""

    make: Callable[[], dict[str, Any]]
    """Returns `x`, and `y`, `sample_weight` and `batch_size` where `x` needs them."""

    samples: Callable[[], tuple[Any, ...]]
    """Returns `(x, y)` or `(x, y, sample_weight)` of all samples, in the order of their numbers."""


def input_of(setup: Setup, data_dir: str | None) -> Input:
    """Return the input of a setup.

    Args:
        setup: the conditions.
        data_dir: where CIFAR-10 lies, if it does.

    Raises:
        NotThereError: this Keras has no such input.
    """
    if setup.kind in LOADERS:
        return _of_loader(setup)
    if setup.kind == "CIFAR10Sequence":
        return _cifar10(setup, data_dir)
    if setup.kind.startswith("image_dataset_from_directory"):
        return _folder(setup)
    batches = batches_of(setup)
    samples = _samples(setup, sum(map(len, batches)))
    return Input(lambda: _MAKERS[setup.kind](setup, samples), lambda: samples)


def _samples(setup: Setup, count: int) -> tuple[Any, ...]:
    """Return the arrays of all samples."""
    numbers = np.arange(count, dtype="int32")
    x: Any = (numbers[:, None] * np.array([1, 0.5, 3])).astype("float32")
    if setup.structure == "dict":
        x = {"values": x, "id": numbers[:, None]}
    weights = (numbers + 1).astype("float32") / count
    labels = numbers[:, None]
    return (x, labels, weights) if setup.structure == "weights" else (x, labels)


class Batches(keras.utils.PyDataset):
    """What people write: a batch by its number."""

    def __init__(self, samples: Any, **options: Any) -> None:
        super().__init__(**options)
        self.samples = samples

    def __len__(self) -> int:
        """Return the number of batches."""
        return math.ceil(len(self.samples[1]) / BATCH)

    def __getitem__(self, index: int) -> Any:
        """Return a batch."""
        return rows_of(self.samples, slice(index * BATCH, (index + 1) * BATCH))


def _arrays(setup: Setup, samples: Any) -> dict[str, Any]:
    names = ("x", "y", "sample_weight")
    return {**dict(zip(names, samples, strict=False)), "batch_size": BATCH}


def _generator(setup: Setup, samples: Any) -> dict[str, Any]:
    def batches() -> Iterator[Any]:
        whole = Batches(samples)
        for index in range(len(whole)):
            yield whole[index]

    return {"x": batches()}


def _py_dataset(setup: Setup, samples: Any) -> dict[str, Any]:
    return {"x": Batches(samples, **_keras_workers(setup))}


def _keras_workers(setup: Setup) -> dict[str, Any]:
    if setup.workers == "none":
        return {}
    processes = setup.workers == "processes"
    return {"workers": _WORKERS, "use_multiprocessing": processes, "max_queue_size": _QUEUE}


def _tf_data(setup: Setup, samples: Any) -> dict[str, Any]:
    import tensorflow as tf

    return {"x": tf.data.Dataset.from_tensor_slices(samples).batch(BATCH)}


def _data_loader(setup: Setup, samples: Any) -> dict[str, Any]:
    from torch.utils.data import DataLoader

    workers = _WORKERS if setup.workers == "processes" else 0
    return {"x": DataLoader(Samples(samples), batch_size=BATCH, num_workers=workers)}


def _iterable_data_loader(setup: Setup, samples: Any) -> dict[str, Any]:
    from torch.utils.data import DataLoader, IterableDataset, get_worker_info

    class Stream(IterableDataset[Any]):
        def __iter__(self) -> Iterator[Any]:
            about = get_worker_info()
            start, step = (about.id, about.num_workers) if about else (0, 1)
            whole = Batches(samples)
            for index in range(start, len(whole), step):
                yield whole[index]

    workers = _WORKERS if setup.workers == "processes" else 0
    return {"x": DataLoader(Stream(), batch_size=None, num_workers=workers)}


def _map_dataset(setup: Setup, samples: Any) -> dict[str, Any]:
    import grain

    return {"x": grain.MapDataset.source(Samples(samples)).batch(BATCH)}


def _iter_dataset(setup: Setup, samples: Any) -> dict[str, Any]:
    import grain

    threads = _WORKERS if setup.workers == "threads" else 0
    options = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=4 if threads else 0)
    whole = grain.MapDataset.source(Samples(samples)).batch(BATCH).to_iter_dataset(options)
    if setup.workers == "processes":
        from absl import flags

        flags.FLAGS(["inputs"])  # Grain reads one, which a program parses with `absl.app.run`
        whole = whole.mp_prefetch(grain.MultiprocessingOptions(num_workers=_WORKERS))
    return {"x": whole}


def _bridge(setup: Setup, samples: Any) -> dict[str, Any]:
    return {"x": bridge(Batches(samples, workers=_WORKERS if setup.workers != "none" else 1))}


_MAKERS: Mapping[str, Callable[[Setup, Any], dict[str, Any]]] = {
    "arrays": _arrays,
    "generator": _generator,
    "PyDataset": _py_dataset,
    "tf.data": _tf_data,
    "DataLoader": _data_loader,
    "iterable DataLoader": _iterable_data_loader,
    "Grain MapDataset": _map_dataset,
    "Grain IterDataset": _iter_dataset,
    "bridge": _bridge,
}


@cache
def _files(count: int) -> tuple[Path, Any, Any]:
    """Write image files into a class folder each half; return the folder, images and labels."""
    folder = Path(tempfile.mkdtemp(prefix="conformance-"))
    images = np.arange(count, dtype="float32")[:, None, None, None] + np.zeros((_SIDE, _SIDE, 3))
    labels = (np.arange(count) >= count // 2).astype("int32")
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        name = folder / "ab"[label] / f"{number:03}.png"
        name.parent.mkdir(exist_ok=True)
        keras.utils.save_img(name, image, scale=False)
    return folder, images.astype("float32"), labels


def _folder(setup: Setup) -> Input:
    folder, images, labels = _files(sum(map(len, batches_of(setup))))
    read = keras.utils.image_dataset_from_directory
    options: dict[str, Any] = {"image_size": (_SIDE, _SIDE), "batch_size": BATCH}
    if "grain" in setup.kind:
        if "format" not in inspect.signature(read).parameters:
            raise NotThereError(f"Keras {keras.__version__} reads no folder with Grain")
        options["format"] = "grain"

    def make() -> dict[str, Any]:
        return {"x": read(folder, shuffle=False, verbose=False, **options)}

    return Input(make, lambda: (images, labels))


def _cifar10(setup: Setup, data_dir: str | None) -> Input:
    from keras_loader_bench.loaders import CIFAR10Sequence

    workers = _WORKERS if setup.workers == "threads" else None
    size = len(batches_of(setup)[0])

    def make() -> dict[str, Any]:
        where = {"data_dir": data_dir} if data_dir else {}
        return {"x": CIFAR10Sequence(size, train=False, workers=workers, **where)}

    def samples() -> tuple[Any, ...]:
        sequence = make()["x"]
        batches = [sequence[index] for index in range(len(sequence))]
        return tuple(np.concatenate([batch[part] for batch in batches]) for part in (0, 1))

    return Input(make, samples)


def _of_loader(setup: Setup) -> Input:
    count = sum(map(len, batches_of(setup)))
    source = prepare_source("synthetic", num_samples=count)
    workers = _WORKERS if setup.workers == "threads" else 0
    rows = np.arange(count)

    def make() -> dict[str, Any]:
        options = LoaderOptions(batch_size=BATCH, num_workers=workers)
        return make_loader(setup.kind, source, options).fit_args(rows)

    def samples() -> tuple[Any, ...]:
        args = make_loader("numpy", source, LoaderOptions(batch_size=count)).fit_args(rows)
        return args["x"], args["y"]

    return Input(make, samples)
