"""Begins what answers the requests of a case: its process, or those of its ranks."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from keras_loader_bench.bench.parent.process import Asked, Child
from keras_loader_bench.bench.parent.ranks import Ranks
from keras_loader_bench.bench.parent.start import Start
from keras_loader_bench.bench.plan.case import Case
from keras_loader_bench.bench.plan.protocol import Protocol
from keras_loader_bench.bench.sensors.card_monitor import count_cards
from keras_loader_bench.bench.sensors.visible_devices import (
    environment_of_case,
    environment_of_own_rank,
    environment_of_rank,
)


def case_processes(
    case: Case, protocol: Protocol, settings: dict[str, Any], *, log: Path, start: Start
) -> Asked:
    """Return what answers requests, which has begun; leaving its block ends it.

    Args:
        case: the case.
        protocol: of the run.
        settings: see `bench.parent.child_settings`.
        log: file for what is printed; the logs of other ranks have names that begin with its own.
        start: how processes begin.
    """
    silence_s = protocol.silence_timeout_s * case.steps_per_execution  # Keras tells of executions
    options: dict[str, Any] = {
        "backend": case.backend,
        "log": log,
        "timeout_s": protocol.case_timeout_s,
        # Others wait for a rank that hangs.
        "silence_s": silence_s / 2 if case.ranks > 1 else silence_s,
        "start": start,
    }
    environment = environment_of_case(case.device, os.environ)
    if case.ranks == 1:
        return Child(settings, environment=environment, **options)
    count = count_cards(environment)
    if protocol.launcher != "local":  # others have a GPU where they run
        own = environment_of_own_rank(environment, count)
        return Ranks(settings, [own, *[environment] * (case.ranks - 1)], **options)
    environments = [
        environment_of_rank(environment, rank, case.ranks, count) for rank in range(case.ranks)
    ]
    return Ranks(settings, environments, **options)
