"""What tests need where `pytest -n 2 --dist loadfile` (pytest-xdist) runs them side by side.

A test marked `measures` has the machine for itself.
"""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import psutil

try:
    import fcntl
except ModuleNotFoundError:  # Windows
    fcntl = None

SIDE_BY_SIDE = os.environ.pop("PYTEST_XDIST_WORKER", None) is not None
"""Whether this is one of several processes that run tests. A pytest that a test starts is none of
them, and must not believe it: pytest-benchmark would measure nothing."""

RUNNING, NEXT = Path(__file__), Path(__file__).with_name("conftest.py")
"""Files to lock: every process of a run has them, and nothing is left behind."""

LONGEST_WAIT_S = 2700.0
"""No test takes as long: who has not let go by then never will."""

_POLL_S = 0.01

_locked: set[IO[str]] = set()


def _let_go() -> None:
    for file in _locked:
        file.close()


if fcntl is not None:
    # A lock is held until all copies of its file are closed. Whatever a test has forked would keep
    # one, and with it everybody else waiting, for as long as it lives.
    os.register_at_fork(after_in_child=_let_go)


@contextlib.contextmanager
def _lock(path: Path, kind: int, seconds: float) -> Iterator[None]:
    """Hold a lock on a file.

    Raises:
        TimeoutError: others have held it for so many seconds; the message names them.
    """
    deadline = time.monotonic() + seconds
    with path.open() as file:
        _locked.add(file)
        try:
            while True:
                try:
                    fcntl.flock(file, kind | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > deadline:
                        raise TimeoutError(
                            f"`{path}` has been locked for {seconds:g} s. Processes that have it "
                            f"open: {'; '.join(_users(path)) or 'none of this user'}."
                        ) from None
                time.sleep(_POLL_S)
            yield
        finally:
            _locked.remove(file)


def _users(path: Path) -> Iterator[str]:
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):  # it has ended, or is not ours
            if process.pid != os.getpid() and str(path) in {o.path for o in process.open_files()}:
                yield f"{process.pid} ({' '.join(process.cmdline())[:200]})"


@contextlib.contextmanager
def alone_with(folder: Path, *, seconds: float = LONGEST_WAIT_S) -> Iterator[None]:
    """Wait until no other process is in such a block for the same folder."""
    path = folder / "lock"
    path.touch()
    with _lock(path, fcntl.LOCK_EX, seconds):
        yield


@contextlib.contextmanager
def turn(*, alone: bool, seconds: float = LONGEST_WAIT_S) -> Iterator[None]:
    """Wait until a test may run: beside others, or alone.

    Who waits to be alone also keeps others from beginning, or these would never let go.

    Raises:
        TimeoutError: others have not let go for so many seconds; the message names them.
    """
    if fcntl is None or not SIDE_BY_SIDE:
        yield
        return
    with contextlib.ExitStack() as held:
        with _lock(NEXT, fcntl.LOCK_EX, seconds):
            held.enter_context(_lock(RUNNING, fcntl.LOCK_EX if alone else fcntl.LOCK_SH, seconds))
        yield
