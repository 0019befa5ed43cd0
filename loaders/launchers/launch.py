"""Decides where the processes of ranks run."""

from __future__ import annotations

import contextlib
import selectors
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

from keras_loader_bench.loaders.launchers.own_rank import VARIABLES, OwnRank
from keras_loader_bench.loaders.system.process_tree import kill_tree
from keras_loader_bench.loaders.system.text import json_object, last_line

LauncherName = Literal["local", "ray", "env"]
"""`local`: processes of this machine. `ray`: rank 0 on this machine, the others spread over the
nodes of a cluster: that of RAY_ADDRESS, or one that is started and stopped.
`env`: where this command was started several times, by torchrun, srun or mpirun."""

LAUNCHERS: tuple[str, ...] = get_args(LauncherName)

ON_RAY = "keras_loader_bench.loaders.launchers.on_ray"
ON_RANK = "keras_loader_bench.loaders.launchers.on_rank"
RELAYS = (ON_RAY, ON_RANK)
"""Modules whose processes stand in for programs that run elsewhere."""

_BEGIN_S = 120.0
_END_S = 30.0


class LauncherError(ValueError):
    """Ranks cannot be started this way; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Launcher:
    """A way to start the processes of ranks."""

    host: str = "127.0.0.1"
    """The address of rank 0 for the others."""

    prefix: tuple[str, ...] = ()
    """The program that starts another one elsewhere, given its rank; empty: none does."""

    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables that ranks need for it."""

    def arguments(self, rank: int, arguments: Sequence[str]) -> list[str]:
        """Return the program and the arguments that start a rank."""
        if not self.prefix:
            return [*arguments]
        return [*self.prefix, str(rank), *arguments]


LOCAL = Launcher()


@contextlib.contextmanager
def launcher(name: str, own: OwnRank | None = None) -> Iterator[Launcher]:
    """Return a launcher; what it has started ends with the block.

    Args:
        name: see `LauncherName`.
        own: of `env`: this process, which is rank 0.

    Raises:
        LauncherError: it is not installed, or finds no cluster and can start none.
        RankError: other ranks do not come.
    """
    if name == "local":
        yield LOCAL
        return
    if name == "env":
        assert own is not None
        prefix = (sys.executable, "-m", ON_RANK, str(own.folder.resolve()))
        with own.others():
            yield Launcher(host=own.host, prefix=prefix, environment=VARIABLES)
        return
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(  # noqa: S603  # our own module, no shell
            [sys.executable, "-m", ON_RAY, "hold"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,  # Ctrl-C reaches this process, which ends that one
        )
        try:
            found = json_object(_line(process))
            if found is None:
                log.seek(0)
                last = last_line(log.read().decode(errors="replace"), "it was silent")
                raise LauncherError(
                    f"Ray finds no cluster and starts none: {last}; "
                    "`pip install 'keras-loader-bench[ray]'` adds it, and RAY_ADDRESS names a "
                    "cluster."
                )
            yield Launcher(
                host=found["node"],
                prefix=(sys.executable, "-m", ON_RAY),
                environment=found["variables"],
            )
        finally:
            assert process.stdin is not None
            process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_END_S)
            kill_tree(process.pid)
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


def _line(process: subprocess.Popen[bytes]) -> bytes:
    """Return the first line of what a process prints; nothing if it prints none for too long."""
    assert process.stdout is not None
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        return process.stdout.readline() if selector.select(_BEGIN_S) else b""
