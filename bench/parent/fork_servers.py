"""Starts processes of timed cases from servers that have imported the framework already.

A process is then ready in a second, not in ten, so that every case can be measured in several.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from typing import IO, Any, Self

from keras_loader_bench.bench.parent.process import Started, start_interpreter
from keras_loader_bench.loaders.registry import imports_of
from keras_loader_bench.loaders.system.process_tree import kill_tree

IMPORT_TIMEOUT_S = 120.0
MAX_ANSWER_BYTES = 4096

_IRRELEVANT = frozenset({"PYTEST_CURRENT_TEST"})
"""Variables that need no server of their own."""

SUPPORTED = sys.platform == "linux" and hasattr(os, "pidfd_open")


class ForkServers:
    """The servers of a run, each made when a case first needs it. `close` ends them.

    A case whose server cannot be made gets a new interpreter, which says why it does not start.
    """

    def __init__(self) -> None:
        self._servers: dict[tuple[object, ...], _Server | None] = {}

    def start(
        self, settings: dict[str, Any], log: IO[bytes], environment: Mapping[str, str]
    ) -> Started:
        """Begin a process of a case; see `bench.parent.process.Start`."""
        server = self._server(settings["case"]["loader"], environment)
        started = server and server.fork(settings, log)
        return started or start_interpreter(settings, log, environment)

    def _server(self, loader: str, environment: Mapping[str, str]) -> _Server | None:
        key = (
            frozenset(imports_of(loader)) - {environment["KERAS_BACKEND"]},
            *sorted((n, v) for n, v in environment.items() if n not in _IRRELEVANT),
        )
        if key not in self._servers:
            self._servers[key] = _Server.make(loader, environment)
        return self._servers[key]

    def close(self) -> None:
        """End all servers."""
        for server in self._servers.values():
            if server is not None:
                server.close()
        self._servers.clear()


class _Server:
    """One process that forks; see `bench.child.fork_server`."""

    def __init__(self, process: subprocess.Popen[bytes], connection: socket.socket) -> None:
        self._process = process
        self._connection = connection

    @classmethod
    def make(cls, loader: str, environment: Mapping[str, str]) -> Self | None:
        """Start a server and wait until it has imported; `None` if it does not get that far."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        module = "keras_loader_bench.bench.child.fork_server"
        descriptor, backend = str(theirs.fileno()), environment["KERAS_BACKEND"]
        with theirs, tempfile.TemporaryFile() as log:
            process = subprocess.Popen(  # noqa: S603  # our own module, no shell
                [sys.executable, "-m", module, descriptor, backend, loader],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        server = cls(process, ours)
        ours.settimeout(IMPORT_TIMEOUT_S)
        try:
            if server.answer() is not None:
                ours.settimeout(None)
                return server
        except TimeoutError:
            pass
        except BaseException:  # Ctrl-C
            server.close()
            raise
        server.close()
        return None

    def fork(self, settings: dict[str, Any], log: IO[bytes]) -> Started | None:
        """Begin a process; `None` if the server is gone."""
        to_child, requests = os.pipe()
        answers, from_child = os.pipe()
        try:
            message = json.dumps(settings).encode()
            descriptors = [to_child, from_child, log.fileno()]
            socket.send_fds(self._connection, [message], descriptors)
            answer = self.answer()
        except OSError:
            answer = None
        finally:
            os.close(to_child)
            os.close(from_child)
        if answer is None:
            os.close(requests)
            os.close(answers)
            return None
        return _Forked(self, answer["pid"], requests, answers)

    def answer(self) -> dict[str, Any] | None:
        """Return the server's next message; `None` if it is gone."""
        try:
            message = self._connection.recv(MAX_ANSWER_BYTES)
        except ConnectionResetError:
            return None
        return json.loads(message) if message else None

    def close(self) -> None:
        """End the server, and the process that it has forked, if that lives."""
        self._connection.close()
        kill_tree(self._process.pid)
        self._process.wait()


class _Forked:
    """A process that a server forked."""

    def __init__(self, server: _Server, pid: int, requests: int, answers: int) -> None:
        self.pid = pid
        self.stdin = os.fdopen(requests, "w", encoding="utf-8")
        self.stdout = os.fdopen(answers, encoding="utf-8")
        self._server = server
        self._code: int | None = None

    def wait(self) -> int:
        """Return its exit code when it has ended, negative for a signal."""
        if self._code is None:
            answer = self._server.answer()
            # Without its server it ends too, and nobody knows how.
            self._code = answer["code"] if answer else -9
        return self._code
