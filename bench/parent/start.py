"""The ways to begin the process of a case."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from keras_loader_bench.loaders.system.guarded import start_unguarded


class Started(Protocol):
    """A process that has begun; `subprocess.Popen` is one."""

    pid: int

    def wait(self) -> int:
        """Return its exit code when it has ended, negative for a signal."""


class Start(Protocol):
    """A way to begin a process."""

    def __call__(
        self, settings: dict[str, Any], descriptors: Sequence[int], environment: Mapping[str, str]
    ) -> Started:
        """Begin a process that serves the case of these settings.

        Args:
            settings: the keyword arguments of `bench.child.worker.Worker`.
            descriptors: its standard input, which has requests, output, for answers, and error.
            environment: its environment variables.
        """


def interpreter_arguments(settings: dict[str, Any]) -> list[str]:
    """Return the command line of a new Python that serves the case of these settings."""
    return [sys.executable, "-m", "keras_loader_bench.bench.child", json.dumps(settings)]


def start_interpreter(
    settings: dict[str, Any], descriptors: Sequence[int], environment: Mapping[str, str]
) -> Started:
    """Start a new Python as a child of this process; see `Start`."""
    return start_unguarded(interpreter_arguments(settings), descriptors, environment)
