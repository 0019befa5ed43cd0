"""What `pytest -n 2 --dist loadgroup` (pytest-xdist) needs to know.

Tests of one module, and of modules that look at the same run of the suite, stay in one process. A
test marked `measures` has the machine for itself.
"""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

import pytest

try:
    import fcntl
except ModuleNotFoundError:  # Windows
    fcntl = None

RUN = os.environ.get("PYTEST_XDIST_TESTRUNUID", "")
SIDE_BY_SIDE = os.environ.pop("PYTEST_XDIST_WORKER", None) is not None
"""Whether this is one of several processes that run tests. A pytest that a test starts is none of
them, and must not believe it: pytest-benchmark would measure nothing."""


def group(items: Iterable[pytest.Item]) -> None:
    """Mark tests that must run in one process."""
    suite = sys.modules.get("suite")
    together: dict[str, set[str]] = {}
    for job in suite.Job.every if suite else ():
        names = set(job.modules).union(*(together.get(name, ()) for name in job.modules))
        together |= dict.fromkeys(names, names)
    for item in items:
        module = item.module.__name__
        item.add_marker(pytest.mark.xdist_group(min(together.get(module, {module}))))


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
