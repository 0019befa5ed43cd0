"""Audits one rank of several that somebody else has started: torchrun, srun or mpirun.

They meet in a folder that all of them see: each leaves there what came out, and rank 0 reads it.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from keras_loader_bench.loaders.audit.parent import AuditRun, run
from keras_loader_bench.loaders.audit.progress import Progress
from keras_loader_bench.loaders.audit.ranks import CHILD, OTHERS_MAY_TAKE_S, of_ranks, succeeded

POLL_S = 0.2


class RankError(ValueError):
    """This process is no rank, or one that was audited before."""


def own_rank(environment: Mapping[str, str]) -> tuple[int, int]:
    """Return which rank this process is, and how many there are.

    Raises:
        RankError: the variables do not say.
    """
    try:
        rank, ranks = int(environment["RANK"]), int(environment["WORLD_SIZE"])
    except (KeyError, ValueError):
        rank, ranks = 0, 0
    if not 0 <= rank < ranks or ranks < 2:
        given = ", ".join(f"{n}={environment.get(n)!r}" for n in ("RANK", "WORLD_SIZE"))
        raise RankError(
            f"`--launcher env` is for one of at least two processes with RANK and WORLD_SIZE, got "
            f"{given}; torchrun sets them, srun and mpirun have names of their own "
            "(results/README.md)."
        )
    return rank, ranks


def run_own_rank(
    settings: Mapping[str, Any],
    *,
    environment: Mapping[str, str],
    timeout_s: float,
    folder: Path,
) -> list[AuditRun | None] | bool:
    """Let `fit` train on this rank's part of the input, while the others do.

    Args:
        settings: of `loaders.audit.child`.
        environment: variables beside those of this process.
        timeout_s: see `loaders.audit.parent.run`; also how long others may take beyond this one.
        folder: one that all ranks see; it is made if it is not there.

    Returns:
        On rank 0, what came out on each; `None`: nothing came. On others, whether they got to
        their end.

    Raises:
        RankError: see `own_rank`; or the folder has a result of this rank already.
    """
    rank, ranks = own_rank(os.environ)
    folder.mkdir(parents=True, exist_ok=True)
    if (mine := _file(folder, rank)).exists():
        raise RankError(f"`{mine}` is of an earlier audit; delete it, or name another folder.")
    with Progress(f"rank {rank} of {ranks}") as progress:
        found = run(
            CHILD,
            of_ranks(settings),
            environment=environment,
            timeout_s=timeout_s,
            watch=progress.watch if rank == 0 else lambda event: None,
        )
    draft = mine.with_suffix(".draft")
    draft.write_text(json.dumps(asdict(found)))
    draft.replace(mine)  # others see all of it or nothing
    if rank:
        return succeeded(found)
    return [found, *_others(folder, ranks, found, timeout_s)]


def _others(folder: Path, ranks: int, mine: AuditRun, timeout_s: float) -> list[AuditRun | None]:
    """Wait for what the other ranks leave; not long once one has failed."""
    runs: dict[int, AuditRun] = {}
    deadline = time.monotonic() + (timeout_s if succeeded(mine) else OTHERS_MAY_TAKE_S)
    while len(runs) < ranks - 1 and time.monotonic() < deadline:
        for rank in range(1, ranks):
            if rank not in runs and (path := _file(folder, rank)).exists():
                raw = json.loads(path.read_text())
                runs[rank] = AuditRun(**{**raw, "events": tuple(raw["events"])})
                if not succeeded(runs[rank]):
                    deadline = min(deadline, time.monotonic() + OTHERS_MAY_TAKE_S)
        time.sleep(POLL_S)
    return [runs.get(rank) for rank in range(1, ranks)]


def _file(folder: Path, rank: int) -> Path:
    return folder / f"rank-{rank}.json"
