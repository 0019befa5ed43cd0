"""Benchmark of the training rate: samples per second while a CNN trains."""

from collections.abc import Callable
from typing import Any

BENCH = "train"


def test_train(measure: Callable[[Any], None], benchmark: Any) -> None:
    """Time rounds of the CNN, each after a ceiling round."""
    measure(benchmark)
