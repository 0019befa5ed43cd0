"""Benchmark of several ranks: feed and training rates, memory, and AU of emulated steps."""

from collections.abc import Callable
from typing import Any

BENCH = "ranks"


def test_ranks(measure: Callable[[Any], None], benchmark: Any) -> None:
    """Measure a case of one rank or of several; only if this file is named."""
    measure(benchmark)
