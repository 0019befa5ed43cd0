"""Benchmark of accelerator utilization with an emulated accelerator, by step time."""

from collections.abc import Callable
from typing import Any

BENCH = "emulated"


def test_emulated(measure: Callable[[Any], None], benchmark: Any) -> None:
    """Measure rounds whose steps wait; only with `--step-ms`."""
    measure(benchmark)
