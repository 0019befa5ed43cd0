"""The process that starts others for a run: it outlives them, and ends what they leave behind.

Its children cannot outlive the run, whatever they do: when the run ends, however it ends, the
guardian ends them and everything that they have started, daemons included; when the guardian is
ended, the kernel ends the child. `bench.child.fork_server` is one that imports a framework first.

Requests come on a socket whose messages have ends: a JSON object, with the file descriptors that
the child gets as standard input, output and error. The answers are its process id at once, and its
exit code later. One child lives at a time. Linux only.

usage: python -m keras_loader_bench.loaders.system.guardian SOCKET RUN
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any, NoReturn

import psutil

from keras_loader_bench.loaders.system.process_tree import (
    CARETAKERS_S,
    adopt_orphans,
    end_with_parent,
    kill_each,
    outlive_parent,
)

MAX_REQUEST_BYTES = 2**17
READY: dict[str, Any] = {"ready": True}
_LEFT_BEHIND_S = 3.0
"""How long it waits for processes that it has ended."""

Become = Callable[[dict[str, Any]], None]
"""Turns a child into what a request asks for. When it returns, the child ends with 0."""


def connection(descriptor: int, *, run: int) -> socket.socket:
    """Return the socket to the run, and make this process end with it until it serves.

    Args:
        descriptor: of the socket.
        run: process id of the run.
    """
    end_with_parent(run)
    os.set_inheritable(descriptor, False)  # it belongs to no child
    return socket.socket(fileno=descriptor)


def serve(parent: socket.socket, become: Become) -> NoReturn:
    """Start a child for every request, until the run closes its end of the socket; then end."""
    adopt_orphans()
    outlive_parent()  # it sees the end of the socket, and ends what it has started first
    try:
        _answer(parent, READY)
        while _start_one(parent, become):
            pass
    except (BrokenPipeError, ConnectionResetError):  # the run is gone
        pass
    finally:
        os._exit(0)  # whatever a framework that was imported would wait for


def _start_one(parent: socket.socket, become: Become) -> bool:
    """Start a child and wait for its end; return whether there was a request."""
    request, descriptors, _, _ = socket.recv_fds(parent, MAX_REQUEST_BYTES, 3)
    if not request:
        return False
    guardian = os.getpid()
    pid = os.fork()
    if pid == 0:
        end_with_parent(guardian)
        parent.close()
        _be_child(json.loads(request), descriptors, become)
    for descriptor in descriptors:
        os.close(descriptor)
    try:
        _answer(parent, {"pid": pid})
    finally:
        code = _end_of(pid, parent)
    _answer(parent, {"code": code})
    return True


def _be_child(request: dict[str, Any], descriptors: list[int], become: Become) -> NoReturn:
    code = 1
    try:
        os.setsid()  # Ctrl-C reaches the run only, which ends the child
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
            os.close(descriptor)
        become(request)
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:  # as an interpreter that ends
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _end_of(pid: int, parent: socket.socket) -> int:
    """Wait for a child; end it if the run goes first. Returns its code as `subprocess` has it."""
    process = os.pidfd_open(pid)
    try:
        ended, _, _ = select.select([process, parent.fileno()], [], [])
        if process not in ended:  # the run sends nothing while a child lives: it is gone
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
    finally:
        os.close(process)
    _end_the_rest()
    return os.waitstatus_to_exitcode(status)


def _end_the_rest() -> None:
    """End what a child has left behind: those are children of this process now."""
    begin = time.monotonic()
    while (waited := time.monotonic() - begin) < _LEFT_BEHIND_S:
        left = psutil.Process().children(recursive=True)
        kill_each(left, spare_caretakers=waited < CARETAKERS_S)
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG) != (0, 0):
                pass
        if not left:
            return
        time.sleep(0.01)


def _answer(parent: socket.socket, answer: dict[str, Any]) -> None:
    parent.send(json.dumps(answer).encode())


def _run_program(request: dict[str, Any]) -> None:
    arguments = request["arguments"]
    os.execv(arguments[0], arguments)  # noqa: S606  # the run's own interpreter, no shell


def main() -> None:
    """Serve the run that started this process."""
    descriptor, run = map(int, sys.argv[1:])
    serve(connection(descriptor, run=run), _run_program)


if __name__ == "__main__":
    main()
