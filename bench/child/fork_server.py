"""Forks processes of timed cases: it has imported a framework, and does nothing else.

Imports are most of the time that a process takes to start, and every case is measured in several.
Requests come on a socket whose messages have ends: the settings of a case, with the file
descriptors that its process gets as standard input, output and error. The answers are its process
id at once, and how it ended later. One process lives at a time.

usage: python -m keras_loader_bench.bench.child.fork_server SOCKET BACKEND LOADER
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import socket
import sys

from keras_loader_bench.bench.child.__main__ import run_case
from keras_loader_bench.bench.child.framework import import_modules
from keras_loader_bench.loaders.system.process_tree import end_with_parent, kill_tree, open_files

MAX_REQUEST_BYTES = 2**16
READY: dict[str, object] = {"ready": True}
DEVICES = ("/dev/nvidia", "/dev/kfd", "/dev/dri")
"""Files through which a process reaches the driver of an accelerator."""


def serve(parent: socket.socket) -> None:
    """Fork a process for every request, until the parent closes its end."""
    while True:
        request, descriptors, _, _ = socket.recv_fds(parent, MAX_REQUEST_BYTES, 3)
        if not request:
            return
        pid = os.fork()
        if pid == 0:
            parent.close()
            _become_case(json.loads(request), descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        _answer(parent, {"pid": pid})
        _answer(parent, {"code": _end_of(pid, parent)})


def _become_case(settings: dict[str, object], descriptors: list[int]) -> None:
    """Turn this process into that of a case; does not return."""
    code = 1
    try:
        os.setsid()  # as a new interpreter's: Ctrl-C reaches the parent only, which ends the case
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
            os.close(descriptor)
        run_case(settings)
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
    """Wait for a process; end it if the parent goes first. Returns its code as `subprocess` has."""
    process = os.pidfd_open(pid)
    try:
        ended, _, _ = select.select([process, parent.fileno()], [], [])
        if process not in ended:  # the parent has nothing to ask for yet: it is gone
            kill_tree(pid)
        _, status = os.waitpid(pid, 0)
        return os.waitstatus_to_exitcode(status)
    finally:
        os.close(process)


def _open_devices() -> list[str]:
    """Return the files of accelerators that this process holds open: it cannot be forked then."""
    paths = [str(path) for path, _ in open_files(os.getpid())]
    return [path for path in paths if path.startswith(DEVICES)]


def _answer(parent: socket.socket, answer: dict[str, object]) -> None:
    parent.send(json.dumps(answer).encode())


def main() -> None:
    """Import what a loader needs on a backend, and serve."""
    descriptor, backend, loader = sys.argv[1:]
    end_with_parent()  # also while it imports
    parent = socket.socket(fileno=int(descriptor))
    import_modules(backend=backend, loader=loader)
    if devices := _open_devices():
        sys.exit(f"Importing {backend} opened {', '.join(devices)}: it cannot be forked any more.")
    gc.collect()
    gc.freeze()  # or the first collection of each process would copy every page
    _answer(parent, READY)
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # the parent is gone
        serve(parent)


if __name__ == "__main__":
    main()
