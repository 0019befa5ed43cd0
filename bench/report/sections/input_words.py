"""Writes the figures of users' inputs, with their units."""

from __future__ import annotations

from collections.abc import Callable

from keras_loader_bench.bench.report import cells
from keras_loader_bench.bench.statistics import Estimate


def ms(seconds: float) -> str:
    """Write seconds in milliseconds."""
    return f"{cells.milliseconds(seconds)} ms"


def rate(estimate: Estimate) -> str:
    """Write samples per second with their interval, or why there is none."""
    return _with_unit(estimate, cells.rate, " samples/s")


def percent(estimate: Estimate) -> str:
    """Write a share with its interval, or why there is none."""
    return _with_unit(estimate, lambda share: f"{share:.0%}", "")


def seconds(estimate: Estimate) -> str:
    """Write the median of some seconds."""
    return f"{cells.significant(estimate.median)} s"


def _with_unit(estimate: Estimate, write: Callable[[float], str], unit: str) -> str:
    if estimate.low is None or estimate.high is None:
        return f"{write(estimate.median)}{unit} ({estimate.shortage})"
    return f"{write(estimate.median)}{unit} ({write(estimate.low)} - {write(estimate.high)})"
