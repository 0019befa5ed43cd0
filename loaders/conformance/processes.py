"""Shares setups out to processes that run at the same time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Event
from typing import Any

from keras_loader_bench.loaders.conformance.cells import Tried
from keras_loader_bench.loaders.conformance.setups import Setup
from keras_loader_bench.loaders.conformance.trials import try_setups
from keras_loader_bench.loaders.system.compiled import shared_by_jax

AT_ONCE = 3
"""Processes that try something at the same time: each has one core busy, or waits for workers. As
many again may run beside them: those whose findings decide what is tried next."""

MOST_SETUPS = 62
"""That one process tries: it grows with them, and a slow backend takes more than one core."""

MOST_BESIDE = 20
"""The same of those that others wait for."""


class EndedError(Exception):
    """Ends what is tried in another thread."""


class Processes:
    """Tries setups in processes, of which only so many run at the same time; see `AT_ONCE`.

    Args:
        compiled: a folder for what JAX compiles. Most setups make programs that others have made.
    """

    def __init__(self, compiled: str) -> None:
        self._pool = ThreadPoolExecutor(AT_ONCE)
        self._beside = ThreadPoolExecutor(AT_ONCE)
        self._ended = Event()
        self._variables = shared_by_jax(compiled)

    def end(self) -> None:
        """End what runs, and try nothing more."""
        self._ended.set()
        for pool in (self._pool, self._beside):
            pool.shutdown(cancel_futures=True)

    def start(
        self,
        setups: Sequence[Setup],
        *,
        environment: dict[str, str],
        watch: Callable[[int], None] = lambda done: None,
        beside: bool = False,
        **how: Any,
    ) -> Callable[[], Tried]:
        """Do what `trials.try_setups` does, in as many processes as the setups need.

        What was started first runs first; `beside` waits for none but others that run beside.

        Returns:
            What waits for all of them.
        """
        count = -(-len(setups) // (MOST_BESIDE if beside else MOST_SETUPS))
        done = [0] * count

        def share(number: int) -> Tried:
            def watch_share(count: int) -> None:
                done[number] = count
                watch(sum(done))

            # Not those that follow each other: these are of one kind, and some kinds take long.
            # Those that fork come first: later on, the process has imported more and has grown.
            mine = sorted(setups[number::count], key=lambda setup: setup.workers != "processes")
            return try_setups(
                mine,
                environment=environment | self._variables,
                watch=watch_share,
                tick=self._tick,
                **how,
            )

        pool = self._beside if beside else self._pool
        shares = pool.map(share, range(count))  # these are started now

        def wait() -> Tried:
            found = list(shares)
            place = {setup: number for number, setup in enumerate(setups)}
            cells = [cell for tried in found for cell in tried.cells]
            return replace(found[0], cells=tuple(sorted(cells, key=lambda cell: place[cell.setup])))

        return wait

    def _tick(self) -> None:
        if self._ended.is_set():
            raise EndedError
