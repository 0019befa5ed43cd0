"""Benchmark of the footprint: memory that a loader adds to a process ready to train."""

from collections.abc import Callable
from typing import Any

BENCH = "memory"


def test_memory(measure: Callable[[Any], None], benchmark: Any) -> None:
    """Sample the process tree through epochs of the null model; nothing is timed."""
    measure(benchmark)


def test_breaking_point(search: Callable[[Any], None], benchmark: Any) -> None:
    """Search for the number of samples at which a loader exceeds its memory budget."""
    search(benchmark)
