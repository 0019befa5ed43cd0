"""Calls a function in threads and gives its results in order, a bounded number ahead."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

from keras_loader_bench.loaders.system.cores import usable_cores

A = TypeVar("A")
R = TypeVar("R")

_AHEAD_PER_THREAD = 4


def in_order(function: Callable[[A], R], items: Iterable[A]) -> Iterator[R]:
    """Yield `function(item)` for every item, in their order, computed on all usable cores.

    It is for functions that let go of Python's lock: decoders, encoders, reading.

    Args:
        function: is called from several threads at once. What it raises is raised here.
        items: a few more than the results that were taken have been drawn from them.
    """
    remaining, threads = iter(items), usable_cores()
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[R]] = deque()
        try:
            while True:
                wanted = islice(remaining, threads * _AHEAD_PER_THREAD - len(waiting))
                waiting.extend(pool.submit(function, item) for item in wanted)
                if not waiting:
                    return
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
