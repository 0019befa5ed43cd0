"""The loaders that exist, and what must be known of one before its framework is imported.

A new loader is one file and one entry here. Must not know: any framework.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from keras_loader_bench.loaders import recipes
from keras_loader_bench.loaders.recipes import Recipe

BACKENDS = ("jax", "tensorflow", "torch")
"""The Keras backends that are supported; each is named after the package it needs."""


@dataclass(frozen=True, kw_only=True)
class KnownFailure:
    """Batches that are known to be wrong through no fault of this project."""

    backends: tuple[str, ...]
    """Keras backends on which it happens."""

    min_workers: int
    """The smallest `num_workers` with which it happens."""

    reason: str
    """What happens, in one sentence."""

    link: str
    """Where it is explained."""


@dataclass(frozen=True)
class LoaderEntry:
    """What the suite knows of a loader without importing it."""

    target: str
    """`module:Class`; a module that begins with a dot is one of this package."""

    packages: tuple[str, ...] = ()
    """Packages that it needs beyond NumPy and Keras with its backend: the name under which each is
    imported, and behind a colon that under which pip knows it, where this is another one:
    `cv2:opencv-python-headless`."""

    has_workers: bool = False
    """Whether `num_workers` changes anything."""

    worker_processes: bool = False
    """Whether its workers are processes; otherwise they are threads, or share this process."""

    known_failure: KnownFailure | None = None
    """`None`: its batches are expected to be identical everywhere."""

    opt_in: bool = False
    """Measured only where it is named: it can hang."""

    own: bool = False
    """Whether this suite brings it; the others are what people write already."""

    recipe: Recipe | None = None
    """What to write for other data; `None`: that stands nowhere."""

    def expected_failure(self, backend: str, num_workers: int) -> KnownFailure | None:
        """Return why this loader's batches are expected to be wrong there; `None`: they are not."""
        known = self.known_failure
        if known and backend in known.backends and num_workers >= known.min_workers:
            return known
        return None


def class_of(entry: LoaderEntry, package: str) -> Any:
    """Import the module of a loader, and with it its framework, and return the loader's class.

    Args:
        entry: of the loader.
        package: the one that a target with a dot in front is of.

    Raises:
        ImportError: a package that the loader needs is missing.
    """
    if missing := missing_package(entry.packages):
        raise ImportError(f"{missing}.")
    module, _, attribute = entry.target.partition(":")
    return getattr(importlib.import_module(module, package), attribute)


def import_name(package: str) -> str:
    """Return the name under which a package of `LoaderEntry.packages` is imported."""
    return package.partition(":")[0]


def pip_name(package: str) -> str:
    """Return the name under which pip knows a package of `LoaderEntry.packages`."""
    return package.rpartition(":")[2]


def missing_package(packages: tuple[str, ...]) -> str | None:
    """Return why something cannot be used here: a package that is not installed, and the remedy.

    Args:
        packages: as in `LoaderEntry.packages`.

    Returns:
        One sentence with the command that installs what is missing; `None`: nothing is.
    """
    missing = [
        pip_name(each) for each in dict.fromkeys(packages) if find_spec(import_name(each)) is None
    ]
    if not missing:
        return None
    names = ", ".join(f"`{name}`" for name in missing)
    be = "are" if len(missing) > 1 else "is"
    return f"{names} {be} not installed; `pip install {' '.join(missing)}` adds what is missing"


_LINK = "https://github.com/keras-team/keras/pull/20123"
_REASON = (
    "Keras draws a batch to build the model and its metrics, stops the workers, keeps what they "
    "had read ahead for the next pass and begins that pass at batch 0 again: batches that were "
    "read ahead come twice, and as many are missing at its end."
)

LOADERS: dict[str, LoaderEntry] = {  # in plots, order is colour: a new one goes to the end
    "eager_sequence": LoaderEntry(
        ".eager_sequence_loader:EagerSequenceLoader", recipe=recipes.PY_DATASET_OF_ARRAYS
    ),
    "grain": LoaderEntry(
        ".grain_loader:GrainLoader", packages=("grain",), has_workers=True, recipe=recipes.GRAIN
    ),
    "numpy": LoaderEntry(".numpy_loader:NumpyLoader", recipe=recipes.ARRAYS),
    "sequence": LoaderEntry(
        ".sequence_loader:SequenceLoader", has_workers=True, own=True, recipe=recipes.BRIDGED
    ),
    "stock_sequence": LoaderEntry(
        ".stock_sequence_loader:StockSequenceLoader",
        has_workers=True,
        known_failure=KnownFailure(
            backends=("jax", "torch"), min_workers=2, reason=_REASON, link=_LINK
        ),
        recipe=recipes.PY_DATASET,
    ),
    "tuned_tf_data": LoaderEntry(
        ".tuned_tf_data_loader:TunedTfDataLoader",
        packages=("tensorflow",),
        has_workers=True,
        own=True,
        recipe=recipes.GATHERED,
    ),
    "torch": LoaderEntry(
        ".torch_loader:TorchLoader",
        packages=("torch",),
        has_workers=True,
        worker_processes=True,
        recipe=recipes.DATA_LOADER,
    ),
    "stock_tf_data": LoaderEntry(
        ".stock_tf_data_loader:StockTfDataLoader",
        packages=("tensorflow",),
        recipe=recipes.TF_DATA,
    ),
    "stock_sequence_processes": LoaderEntry(
        ".stock_sequence_loader:StockSequenceProcessesLoader",
        has_workers=True,
        worker_processes=True,
        known_failure=KnownFailure(
            backends=("jax", "torch"), min_workers=0, reason=_REASON, link=_LINK
        ),
        opt_in=True,
    ),
}
"""Name of a loader -> what is known of it."""
