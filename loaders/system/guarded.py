"""The run's side of a guardian, the process that starts others; see `loaders.system.guardian`."""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from keras_loader_bench.loaders.system.process_tree import kill_tree

GUARDIAN = "keras_loader_bench.loaders.system.guardian"
_ANSWER_TIMEOUT_S = 15.0
_MAX_ANSWER_BYTES = 4096


def _supported() -> bool:
    if sys.platform != "linux":
        return False
    try:
        os.close(os.pidfd_open(os.getpid()))
    except OSError:  # the kernel is older than 5.3, or does not allow it
        return False
    return True


SUPPORTED = _supported()
"""Whether there can be guardians on this system."""


class Guardian:
    """A guardian that lives; `close` ends it, and what it has started."""

    def __init__(self, process: subprocess.Popen[bytes], connection: socket.socket) -> None:
        self._process = process
        self._connection = connection

    @classmethod
    def make(
        cls,
        module: str = GUARDIAN,
        *arguments: str,
        environment: Mapping[str, str],
        timeout_s: float = _ANSWER_TIMEOUT_S,
    ) -> Self | None:
        """Start one and wait until it is ready; `None` if it does not get that far.

        Args:
            module: a guardian; its first arguments are its socket and the process id of the run.
            arguments: those that follow.
            environment: its own, and that of everything it starts.
            timeout_s: how long it may take.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        descriptor = str(theirs.fileno())
        with theirs, tempfile.TemporaryFile() as log:
            process = subprocess.Popen(  # noqa: S603  # our own module, no shell
                [sys.executable, "-m", module, descriptor, str(os.getpid()), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environment,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )
        guardian = cls(process, ours)
        ready = None
        try:
            ready = guardian.answer(timeout_s)
        finally:
            if ready is None:  # Ctrl-C too
                guardian._end()
        return guardian if ready else None

    def start(self, request: Mapping[str, Any], descriptors: Sequence[int]) -> Guarded | None:
        """Begin a process; `None` if the guardian is gone.

        Args:
            request: what it becomes; `{"arguments": [program, ...]}` for `GUARDIAN`.
            descriptors: its standard input, output and error.
        """
        try:
            socket.send_fds(self._connection, [json.dumps(request).encode()], list(descriptors))
        except OSError:
            return None
        answer = self.answer()
        return Guarded(self, answer["pid"]) if answer else None

    def answer(self, timeout_s: float = _ANSWER_TIMEOUT_S) -> dict[str, Any] | None:
        """Return the next message; `None` if the guardian is gone or says nothing.

        It cannot be used any more then: the message might still come, and be taken for another.
        """
        message = b""
        with contextlib.suppress(OSError):
            self._connection.settimeout(timeout_s)
            message = self._connection.recv(_MAX_ANSWER_BYTES)
        if message:
            return dict(json.loads(message))
        self._connection.close()
        return None

    def has_answer(self, timeout_s: float) -> bool:
        """Wait until there is a message or the guardian is gone, at most for so long."""
        return bool(select.select([self._connection], [], [], timeout_s)[0])

    def close(self) -> None:
        """End it, and the process that it has started, if that lives."""
        self._connection.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_ANSWER_TIMEOUT_S)  # it ends what it has started first
        self._end()

    def _end(self) -> None:
        self._connection.close()
        kill_tree(self._process.pid)
        self._process.wait()


class Guarded:
    """A process that a guardian started."""

    def __init__(self, guardian: Guardian, pid: int) -> None:
        self.pid = pid
        self._guardian = guardian
        self._code: int | None = None

    def ended(self, timeout_s: float) -> bool:
        """Wait until it has ended, at most for so long; return whether it has."""
        return self._code is not None or self._guardian.has_answer(timeout_s)

    def wait(self) -> int:
        """Return its exit code when it has ended, negative for a signal."""
        if self._code is None:
            answer = self._guardian.answer()
            # Without its guardian it ends too, and nobody knows how.
            self._code = answer["code"] if answer else -9
        return self._code


class Unguarded(subprocess.Popen[bytes]):
    """A process that is a child of this one, where there are no guardians."""

    def ended(self, timeout_s: float) -> bool:
        """Wait until it has ended, at most for so long; return whether it has."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(timeout_s)
        return self.returncode is not None


def start_unguarded(
    arguments: Sequence[str], descriptors: Sequence[int], environment: Mapping[str, str]
) -> Unguarded:
    """Start a process as a child of this one.

    Args:
        arguments: program and arguments.
        descriptors: its standard input, output and error.
        environment: its environment.
    """
    standard_input, output, log = descriptors
    return Unguarded(
        arguments,
        stdin=standard_input,
        stdout=output,
        stderr=log,
        env=environment,
        start_new_session=True,  # Ctrl-C reaches this process only, which ends that one
    )


@contextlib.contextmanager
def started(
    arguments: Sequence[str],
    *,
    output: int,
    log: int,
    environment: Mapping[str, str],
    standard_input: int | None = None,
) -> Iterator[Guarded | Unguarded]:
    """Start a process; at the end of the block it is ended, with everything it has started.

    Args:
        arguments: program and arguments.
        output: descriptor of its standard output.
        log: descriptor of its standard error.
        environment: its environment.
        standard_input: descriptor of that; `None`: nothing can be read from it.
    """
    guardian = Guardian.make(environment=environment) if SUPPORTED else None
    process: Guarded | Unguarded | None = None
    try:
        with Path(os.devnull).open("rb") as nothing:
            readable = nothing.fileno() if standard_input is None else standard_input
            descriptors = readable, output, log
            if guardian is not None:
                process = guardian.start({"arguments": list(arguments)}, descriptors)
            if process is None:
                process = start_unguarded(arguments, descriptors, environment)
        yield process
    finally:
        if isinstance(process, Unguarded):
            kill_tree(process.pid)
            process.wait()
        if guardian is not None:
            guardian.close()
