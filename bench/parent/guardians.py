"""Starts the processes of cases through guardians, which end whatever a case leaves behind.

A process of a timed case is forked from a guardian that has imported the framework already: it is
ready in a second, not in ten, so that every case can be measured in several. All others are new
interpreters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from keras_loader_bench.bench.parent.start import Started, interpreter_arguments
from keras_loader_bench.loaders.launchers import LOCAL, Launcher
from keras_loader_bench.loaders.system.guarded import SUPPORTED, Guardian, start_unguarded

IMPORT_TIMEOUT_S = 120.0
FORK_SERVER = "keras_loader_bench.bench.child.fork_server"

_IRRELEVANT = frozenset({"PYTEST_CURRENT_TEST"})
"""Variables that need no guardian of their own."""


class Guardians:
    """The guardians of a run, each made when a case first needs it. `close` ends them.

    A case whose fork server cannot be made gets a new interpreter, which says why it does not
    start. Where there can be no guardian, an interpreter is a child of this process.

    Args:
        launcher: starts ranks; those that it starts elsewhere are new interpreters.
    """

    def __init__(self, launcher: Launcher = LOCAL) -> None:
        self._launcher = launcher
        self._guardians: dict[tuple[object, ...], Guardian | None] = {}

    def fork(
        self, settings: dict[str, Any], descriptors: Sequence[int], environment: Mapping[str, str]
    ) -> Started:
        """Fork a process of a case; see `bench.parent.start.Start`."""
        if self._launcher.prefix and "rank" in settings:
            return self.interpreter(settings, descriptors, environment)
        backend = environment["KERAS_BACKEND"]
        packages = sorted({*settings.get("imports", ())} - {backend})
        key = (FORK_SERVER, _rank(settings), *packages)

        def make() -> Guardian | None:
            names = (backend, *packages)
            return Guardian.make(
                FORK_SERVER, *names, environment=environment, timeout_s=IMPORT_TIMEOUT_S
            )

        started = self._start((*key, *_relevant(environment)), make, settings, descriptors)
        return started or self.interpreter(settings, descriptors, environment)

    def interpreter(
        self, settings: dict[str, Any], descriptors: Sequence[int], environment: Mapping[str, str]
    ) -> Started:
        """Start a new interpreter for a case; see `bench.parent.start.Start`."""
        launcher = self._launcher if "rank" in settings else LOCAL
        arguments = interpreter_arguments({**settings, "host": launcher.host})
        arguments = launcher.arguments(_rank(settings), arguments)
        environment = {**environment, **launcher.environment}
        request = {"arguments": arguments}
        key = _rank(settings), *_relevant(environment)
        started = self._start(
            key, lambda: Guardian.make(environment=environment), request, descriptors
        )
        return started or start_unguarded(arguments, descriptors, environment)

    def _start(
        self,
        key: tuple[object, ...],
        make: Callable[[], Guardian | None],
        request: dict[str, Any],
        descriptors: Sequence[int],
    ) -> Started | None:
        """Start a process through a guardian, made anew if it was lost; `None`: there can be none.

        One that could not be made once is not tried again.
        """
        for _ in range(2):
            if SUPPORTED and key not in self._guardians:
                self._guardians[key] = make()
            guardian = self._guardians.get(key)
            if guardian is None:
                return None
            if started := guardian.start(request, descriptors):
                return started
            self._guardians.pop(key)
            guardian.close()
        return None

    def close(self) -> None:
        """End all guardians."""
        for guardian in self._guardians.values():
            if guardian is not None:
                guardian.close()
        self._guardians.clear()


def _rank(settings: Mapping[str, Any]) -> int:
    """Return which rank a process is: a guardian has one process at a time."""
    return int(settings.get("rank", 0))


def _relevant(environment: Mapping[str, str]) -> tuple[object, ...]:
    return tuple(sorted((n, v) for n, v in environment.items() if n not in _IRRELEVANT))
