"""Tries setups on several versions of Keras and backends, and finds out what is wrong."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from datetime import UTC, datetime
from importlib import metadata
from tempfile import TemporaryDirectory
from typing import Any

from keras_loader_bench.loaders.conformance.cells import Cell
from keras_loader_bench.loaders.conformance.expected import expected
from keras_loader_bench.loaders.conformance.problems import Asked, problems
from keras_loader_bench.loaders.conformance.processes import Processes
from keras_loader_bench.loaders.conformance.setups import Setup
from keras_loader_bench.loaders.conformance.stored import Part, ProblemRecord, rows_of
from keras_loader_bench.loaders.conformance.trials import (
    UNDECIDED_RACES,
    TrialError,
    not_there,
    runs_of,
    try_setups,
)
from keras_loader_bench.loaders.conformance.versions import environment_of
from keras_loader_bench.loaders.registry import missing_package
from keras_loader_bench.loaders.sources.cifar10_find import find_cifar10

_EVERY = 25
"""Sets of conditions between two lines of the progress."""

_PACKAGES = ("numpy", "tensorflow", "torch", "grain")
"""Those that inputs come from."""

_SLOWEST_FIRST = ("tensorflow", "jax", "torch")
"""Or the slowest would be tried alone in the end."""


def start_part(
    setups: Sequence[Setup],
    version: str | None,
    backend: str,
    *,
    quick: bool,
    processes: Processes,
) -> Callable[[], Part]:
    """Begin to try setups on one Keras and backend.

    Args:
        setups: the conditions.
        version: of Keras; `None`: the installed one.
        backend: of Keras.
        quick: see `try_all`.
        processes: which try them.

    Returns:
        What waits for them, and finds the smallest conditions of what is wrong.

    Raises:
        TrialError: nothing could be tried.
        VersionError: there is no such Keras.
    """
    found_dir = find_cifar10(os.environ.get("CIFAR10_DIR"))
    data_dir = str(found_dir) if found_dir else None
    keras = version or metadata.version("keras")
    left_out = {
        kind: why
        for kind in dict.fromkeys(setup.kind for setup in setups)
        if (why := not_there(kind, keras, data_dir))
    }
    there = [setup for setup in setups if setup.kind not in left_out]
    if not there:
        reasons = "; ".join(f"{kind}: {why}" for kind, why in left_out.items())
        raise TrialError(f"Nothing can be tried with Keras {keras} on {backend}. {reasons}")
    known: dict[str, Any] = {
        "backend": backend,
        "environment": environment_of(version),
        "data_dir": data_dir,
    }
    name = f"Keras {keras} on {backend}"

    def watch(done: int) -> None:
        if done % _EVERY == 0:
            print(f"{name}: {done} of {len(there)} sets of conditions", file=sys.stderr)

    runs = _twice if quick else runs_of
    wait = processes.start(there, **known, watch=watch, runs=runs)

    def retry(asked: Sequence[Asked]) -> Sequence[Cell]:
        apply = [each for each in asked if any(expected(each.setup, n) for n in each.names)]
        if quick or not apply:
            return ()
        names = {each.setup: each.names for each in apply}
        races = {each.setup for each in apply if each.race}

        def runs(setup: Setup) -> int:
            return UNDECIDED_RACES if setup in races else runs_of(setup)

        return processes.start(list(names), **known, names=names, runs=runs, beside=True)().cells

    def finish() -> Part:
        tried = wait()
        print(f"{name}: looking for the smallest conditions", file=sys.stderr)
        found = problems(tried.cells, retry)
        print(f"{name}: {len(tried.cells)} cells, problems: {len(found)}", file=sys.stderr)
        return Part(
            keras=tried.keras,
            backend=backend,
            version=tried.version,
            date=f"{datetime.now(UTC):%Y-%m-%d}",
            packages={"Python": platform.python_version(), **_versions(_PACKAGES)},
            rows=rows_of(tried.cells),
            problems=tuple(map(ProblemRecord.of, found)),
            left_out=left_out,
        )

    return finish


def try_changed(cause: str, part: Part, setups: Sequence[Setup]) -> Sequence[Cell]:
    """Try setups again on the Keras and backend of a part, with a change of Keras.

    Args:
        cause: key of the cause whose change is tried.
        part: of a matrix.
        setups: the conditions.
    """
    installed = metadata.version("keras") == part.keras
    environment = environment_of(None if installed else part.keras)
    return try_setups(setups, backend=part.backend, environment=environment, mends=[cause]).cells


def _versions(names: Sequence[str]) -> dict[str, str]:
    return {name: metadata.version(name) for name in names if missing_package((name,)) is None}


def _twice(setup: Setup) -> int:
    return min(runs_of(setup), 2)


def try_all(
    setups: Sequence[Setup],
    versions: Sequence[str | None],
    backends: Sequence[str],
    *,
    quick: bool,
    keep: Callable[[Part], None],
) -> None:
    """Try setups on all versions of Keras and all backends.

    Args:
        setups: the conditions.
        versions: of Keras; `None`: the installed one.
        backends: of Keras.
        quick: whether what depends on threads is tried twice only, and conditions are not removed.
        keep: called with each part when it has been tried.

    Raises:
        TrialError: nothing could be tried.
        VersionError: there is no such Keras.
    """
    for version in versions:
        environment_of(version)  # one that pip does not have is said before any is tried
    slowest_first = sorted(backends, key=_SLOWEST_FIRST.index)
    asked = [(version, backend) for version in versions for backend in slowest_first]
    with TemporaryDirectory() as compiled, ThreadPoolExecutor(len(asked)) as pool:
        processes = Processes(compiled)
        try:
            how: dict[str, Any] = {"quick": quick, "processes": processes}
            started = [start_part(setups, *each, **how) for each in asked]
            futures = [pool.submit(finish) for finish in started]
            for future in as_completed(futures):
                keep(future.result())
        finally:  # after Ctrl-C too, where what is tried elsewhere has to end
            processes.end()
