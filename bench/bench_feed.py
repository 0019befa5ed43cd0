"""Feed rate: what a loader delivers through `fit` when the step is almost free."""

from collections.abc import Callable
from typing import Any

BENCH = "feed"


def test_feed(measure: Callable[[Any], None], benchmark: Any) -> None:
    """Time rounds of the null model, each after a ceiling round."""
    measure(benchmark)
