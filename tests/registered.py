"""The loaders of the registry as parameters of tests: each with and without workers.

Known failures are left out, they have tests of their own; so are processes that Keras forks, which
may hang in a process as full of threads as that of a test.
"""

import keras
import pytest

from keras_loader_bench.bench.child.models import Samples
from keras_loader_bench.loaders import LOADERS
from keras_loader_bench.loaders.registry import missing_package

CIFAR10 = {
    pixels: Samples(shape=(32, 32, 3), num_classes=10, pixels=pixels)
    for pixels in ("float32", "uint8")
}
"""What a model for CIFAR-10 is made for."""

BACKEND = keras.backend.backend()


def variant(name, workers):
    reason = missing_package(LOADERS[name].packages)
    marks = [pytest.mark.skip(reason)] if reason else []
    return pytest.param(name, workers, marks=marks, id=f"{name}-w{workers}")


VARIANTS = [
    variant(name, workers)
    for name, entry in sorted(LOADERS.items())
    for workers in ((0, 2) if entry.has_workers else (0,))
    if not entry.opt_in and not entry.expected_failure(BACKEND, workers)
]

every_loader = pytest.mark.parametrize(("loader_name", "workers"), VARIANTS)
