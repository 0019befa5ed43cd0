"""The figures of one case: how raw values become rates, utilizations and bytes.

Must not know: loaders, rows, how a figure is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.report.endings import case_outcome, case_signal
from bench.statistics import Estimate, estimate_ratio

_BEFORE_LOADER = ("import", "model", "ceiling")
"""Phases of a memory case that lead up to its baseline."""


@dataclass(frozen=True, kw_only=True)
class Throughput:
    """Figures of one feed or training case; `None` where no round was recorded."""

    outcome: str
    """How the case ended: `ok`, `failed`, `killed`, `timeout`, `audit_failed`, ..."""

    signal: str | None
    """Name of the signal that ended it, such as `SIGKILL`."""

    rate: Estimate | None
    """Samples per second."""

    utilization: Estimate | None
    """AU: seconds of the neighbouring ceiling round / seconds of the round."""

    cpu_s_per_1000_samples: Estimate | None
    """User and system seconds of the whole process tree per 1,000 samples delivered."""

    time_to_first_batch_s: Estimate | None
    """Seconds from the start of `fit` to the end of its first step."""

    @property
    def data_stall(self) -> Estimate | None:
        """Fraction of the time in which the model waits for data: 1 - AU."""
        return self.utilization and self.utilization.complement()


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes over the baseline in one memory case; `None` where it was not measured.

    The baseline is the process with its framework, its model and one ceiling round. Differences
    are kept as measured: one below zero says that the kernel took pages back meanwhile.
    """

    outcome: str
    """As in `Throughput`."""

    signal: str | None
    """As in `Throughput`."""

    anon_bytes: int | None
    """Private part of the footprint, at the moment of its peak."""

    shmem_bytes: int | None
    """Shared part of the footprint, at the moment of its peak."""

    page_cache_bytes: int | None
    """Peak of the mapped files; the kernel takes them back, so they are not in the footprint."""

    @property
    def footprint_bytes(self) -> int | None:
        """Peak of private and shared memory: what a machine can run out of."""
        if self.anon_bytes is None or self.shmem_bytes is None:
            return None
        return self.anon_bytes + self.shmem_bytes


def read_throughput(result: Mapping[str, Any] | None) -> Throughput | None:
    """Return the figures of a feed or training case; `None` where it was not run."""
    if result is None:
        return None
    rounds = result.get("rounds") or []

    def column(name: str) -> list[float | None]:
        return [measured.get(name) for measured in rounds]

    samples = [count or None for count in column("samples")]  # a round without any has no rate
    seconds = column("seconds")
    first = result.get("time_to_first_batch_s") or []
    return Throughput(
        outcome=case_outcome(result),
        signal=case_signal(result),
        rate=estimate_ratio(samples, seconds),
        utilization=estimate_ratio(column("ceiling_seconds"), seconds),
        cpu_s_per_1000_samples=estimate_ratio(column("cpu_seconds"), samples, scale=1000),
        time_to_first_batch_s=estimate_ratio(first, [1] * len(first)),
    )


def read_memory(result: Mapping[str, Any] | None) -> Memory | None:
    """Return the figures of a memory case; `None` where it was not run."""
    if result is None:
        return None
    raw = result.get("memory") or {}
    baseline = raw.get("baseline")
    readings = [r for r in raw.get("readings", []) if r["phase"] not in _BEFORE_LOADER]
    split: dict[str, int | None] = dict.fromkeys(("anon_bytes", "shmem_bytes", "page_cache_bytes"))
    if baseline and readings:
        peak = max(readings, key=lambda reading: reading["anon"] + reading["shmem"])
        split["anon_bytes"] = peak["anon"] - baseline["anon"]
        split["shmem_bytes"] = peak["shmem"] - baseline["shmem"]
        split["page_cache_bytes"] = max(r["file"] for r in readings) - baseline["file"]
    return Memory(outcome=case_outcome(result), signal=case_signal(result), **split)
