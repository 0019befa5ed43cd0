"""Benchmark of the feed rate: samples per second through `fit` with an almost free step."""

from collections.abc import Callable
from typing import Any

BENCH = "feed"


def test_feed(measure: Callable[[Any], None], benchmark: Any) -> None:
    """Time rounds of the null model, each after a ceiling round."""
    measure(benchmark)
