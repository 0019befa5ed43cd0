"""What tests need where `pytest -n 2 --dist loadfile` (pytest-xdist) runs them side by side.

A test marked `measures` has the machine for itself.
"""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ModuleNotFoundError:  # Windows
    fcntl = None

SIDE_BY_SIDE = os.environ.pop("PYTEST_XDIST_WORKER", None) is not None
"""Whether this is one of several processes that run tests. A pytest that a test starts is none of
them, and must not believe it: pytest-benchmark would measure nothing."""

RUNNING, NEXT = Path(__file__), Path(__file__).with_name("conftest.py")
"""Files to lock: every process of a run has them, and nothing is left behind."""


@contextlib.contextmanager
def alone_with(folder: Path) -> Iterator[None]:
    """Wait until no other process is in such a block for the same folder."""
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def turn(*, alone: bool) -> Iterator[None]:
    """Wait until a test may run: beside others, or alone.

    Who waits to be alone also keeps others from beginning, or these would never let go.
    """
    if fcntl is None or not SIDE_BY_SIDE:
        yield
        return
    with RUNNING.open() as running:
        with NEXT.open() as first:
            fcntl.flock(first, fcntl.LOCK_EX)
            fcntl.flock(running, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield
