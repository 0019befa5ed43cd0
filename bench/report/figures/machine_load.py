"""What other programs took of the machine during the rounds of a case."""

from __future__ import annotations

from collections.abc import Callable

from keras_loader_bench.bench.record.process_record import Round
from keras_loader_bench.bench.record.schema import CaseRecord

BUSY = 0.10
"""Share of the cores used by other processes above which a machine is called busy."""


def used_by_others(case: CaseRecord, cores: int | None) -> float:
    """Return the share of the cores that other processes used in a case's rounds; 0 if unknown."""
    return _share(case, cores, _others)


def stolen(case: CaseRecord, cores: int | None) -> float:
    """Return the share of CPU time that the hypervisor took in a case's rounds; 0 if unknown."""
    return _share(case, cores, lambda measured: measured.machine_stolen_cpu_seconds)


def _others(measured: Round) -> float | None:
    busy, own = measured.machine_busy_cpu_seconds, measured.cpu_seconds
    return None if busy is None or own is None else busy - own


def _share(case: CaseRecord, cores: int | None, seconds: Callable[[Round], float | None]) -> float:
    used = there = 0.0
    for measured in case.rounds:
        of_round = seconds(measured)
        if of_round is None or measured.seconds is None:
            return 0.0  # an older run, or a round that was cut short
        used += of_round
        beside = (measured.parent_overhead_seconds or 0.0) if measured.batches else 0.0
        there += (measured.seconds + beside) * (cores or 0)  # all of the `fit` of an input
    return max(0.0, used / there) if there > 0 else 0.0
