"""What tests need where `pytest -n 2 --dist loadfile` (pytest-xdist) runs them side by side.

A test marked `measures` has the machine for itself.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

try:
    import fcntl
except ModuleNotFoundError:  # Windows
    fcntl = None

RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID", "")
SIDE_BY_SIDE = os.environ.pop("PYTEST_XDIST_WORKER", None) is not None
"""Whether this is one of several processes that run tests. A pytest that a test starts is none of
them, and must not believe it: pytest-benchmark would measure nothing."""


@contextlib.contextmanager
def turn(*, alone: bool) -> Iterator[None]:
    """Wait until a test may run: beside others, or alone.

    Who waits to be alone also keeps others from beginning, or these would never let go.
    """
    if fcntl is None or not SIDE_BY_SIDE:
        yield
        return
    with _file("running") as running:
        with _file("next") as first:
            fcntl.flock(first, fcntl.LOCK_EX)
            fcntl.flock(running, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield


def _file(name: str) -> IO[str]:
    return Path(tempfile.gettempdir(), f"keras-loader-bench-{RUN}.{name}").open("w")
