"""Seeds the random numbers that an input may draw before Keras is imported."""

from __future__ import annotations

import contextlib
import random
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

import numpy as np

SEED = 0


def seed_before_keras(seed: int | None) -> None:
    """Seed Python, NumPy, torch and, when it is imported, TensorFlow, whose import imports Keras.

    Imports torch: a process that needs both must import it before TensorFlow.

    Args:
        seed: `None` leaves all generators as they are.
    """
    with contextlib.suppress(Exception):  # not installed, or it does not load
        import torch

        if seed is not None:
            torch.manual_seed(seed)
    if seed is None:
        return
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  # what inputs draw from without a generator of their own
    if "tensorflow" in sys.modules:
        if (loaded := sys.modules["tensorflow"]) is not None:  # `None`: its import is refused
            loaded.random.set_seed(seed)
    else:
        sys.meta_path.insert(0, _SeedsTensorFlow(seed))


class _SeedsTensorFlow(MetaPathFinder):
    """Finds TensorFlow as Python does, once, and seeds it when it has been loaded."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of TensorFlow; `None` for all else."""
        if name != "tensorflow":
            return None
        sys.meta_path.remove(self)
        spec = PathFinder.find_spec(name, path, target)
        if spec is None or spec.loader is None:
            return None
        load = spec.loader.exec_module

        def load_and_seed(module: Any) -> None:
            load(module)
            module.random.set_seed(self._seed)

        spec.loader.exec_module = load_and_seed  # type: ignore[method-assign]
        return spec
