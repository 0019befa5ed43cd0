"""Benchmark of encoded images: feed rate, training rate and footprint of their own loaders."""

from collections.abc import Callable
from typing import Any

BENCH = "images"


def test_images(measure: Callable[[Any], None], benchmark: Any) -> None:
    """Measure a case of the feed rate, of training or of memory; only if this file is named."""
    measure(benchmark)
