"""Runs an audit on several ranks at once: one process each, and one alone that reads all of it.

What a rank is, an input learns as from torchrun: from environment variables.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from keras_loader_bench.loaders.audit.parent import AuditRun, Event, run
from keras_loader_bench.loaders.audit.progress import Progress
from keras_loader_bench.loaders.launchers import LOCAL, Launcher

CHILD = "keras_loader_bench.loaders.audit.child"

OTHERS_MAY_TAKE_S = 10.0
"""After a rank has failed, for so long the others may go on: they may be waiting for it."""


class _EndedError(Exception):
    """Ends the process of a rank."""


def of_ranks(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a rank's `loaders.audit.child`."""
    # What draws without a seed of its own draws differently on each rank, as in a real run.
    return {**settings, "passes": ["fit"], "send_samples": True, "seed": None}


def environment_of_rank(
    rank: int, ranks: int, port: int, address: str = "127.0.0.1"
) -> dict[str, str]:
    """Return the environment variables by which a process learns which rank it is.

    Those of torchrun (https://docs.pytorch.org/docs/stable/elastic/run.html#environment-variables),
    and those of `keras.distribution.initialize`.

    Args:
        rank: its number, from 0.
        ranks: how many there are.
        port: where rank 0 listens, if anything of the input does.
        address: the machine of rank 0.
    """
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(ranks),
        "LOCAL_WORLD_SIZE": str(ranks),
        "MASTER_ADDR": address,
        "MASTER_PORT": str(port),
        "KERAS_DISTRIBUTION_JOB_ADDRESSES": f"{address}:{port}",
        "KERAS_DISTRIBUTION_NUM_PROCESSES": str(ranks),
        "KERAS_DISTRIBUTION_PROCESS_ID": str(rank),
    }


def free_port() -> int:
    """Return a TCP port of this machine that nobody listened at a moment ago."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return int(bound.getsockname()[1])


def run_alone(
    settings: Mapping[str, Any], ranks: int, *, environment: Mapping[str, str], timeout_s: float
) -> AuditRun:
    """Read the input as the only rank, not by `fit`: all that so many ranks should train on."""
    steps = settings["steps"] and settings["steps"] * ranks
    alone = {**settings, "steps": steps, "passes": [], "ordered": True, "send_samples": True}
    variables = {**environment, **environment_of_rank(0, 1, free_port())}
    with Progress("as the only rank") as progress:
        return run(CHILD, alone, environment=variables, timeout_s=timeout_s, watch=progress.watch)


def run_ranks(
    settings: Mapping[str, Any],
    ranks: int,
    *,
    environment: Mapping[str, str],
    timeout_s: float,
    launcher: Launcher = LOCAL,
) -> list[AuditRun | None]:
    """Let `fit` train on the input on all ranks at once.

    Args:
        settings: of `loaders.audit.child`.
        ranks: how many.
        environment: variables that all have.
        timeout_s: see `loaders.audit.parent.run`.
        launcher: starts them.

    Returns:
        What came out on each; `None`: it was ended because another one had failed.
    """
    port = free_port()
    settings = of_ranks(settings)
    end_at: list[float] = []  # once one has failed, or all are to end

    with Progress(f"{ranks} ranks") as progress, ThreadPoolExecutor(ranks) as pool:

        def of_rank(rank: int) -> AuditRun | None:
            def watch(event: Event | None) -> None:
                if end_at and time.monotonic() >= end_at[0]:
                    raise _EndedError
                if rank == 0:
                    progress.watch(event)

            variables = {**environment, **environment_of_rank(rank, ranks, port, launcher.host)}
            try:
                found = run(
                    CHILD,
                    settings,
                    environment={**variables, **launcher.environment},
                    timeout_s=timeout_s,
                    watch=watch,
                    command=partial(launcher.arguments, rank),
                )
            except _EndedError:
                return None
            if not succeeded(found):
                end_at.append(time.monotonic() + OTHERS_MAY_TAKE_S)
            return found

        futures = [pool.submit(of_rank, rank) for rank in range(ranks)]
        try:
            return [future.result() for future in futures]
        except BaseException:
            end_at.insert(0, 0.0)
            raise


def succeeded(found: AuditRun | None) -> bool:
    """Return whether a rank got to its end and nothing was raised."""
    return bool(found and found.event("end") and not found.event("raised"))
