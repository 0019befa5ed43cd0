"""Computes the figures of a memory case: footprint, growth and memory left after close."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from keras_loader_bench.bench.record.footprint import (
    CLOSED,
    ends_of_phases,
    ends_of_rounds,
    footprint_bytes,
    loader_readings,
    peak_reading,
)
from keras_loader_bench.bench.record.process_record import MemoryRecord, ProcessPeak
from keras_loader_bench.bench.record.schema import CaseRecord
from keras_loader_bench.bench.report.figures.endings import case_outcome, case_signal
from keras_loader_bench.bench.slope import Slope

GROWTH_CONFIDENCE = 0.99
"""Of intervals of growth: with 95%, one of twenty loaders would seem to leak by chance."""

SAME_FOOTPRINT_BYTES = 32 * 2**20
"""So little memory decides nothing, and allocators differ by MiB from one run to the next."""

MIN_LATER_ROUNDS = 5
"""Fewest rounds after the first one, which warms up, to compute growth from."""


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes over the baseline in one memory case; `None` if it was not measured.

    The baseline is the process with its framework, its model and one ceiling round. Differences
    are kept as measured: one below zero says that the kernel took pages back meanwhile.
    """

    outcome: str
    """How the case ended: `ok`, `refused`, `over_budget`, `crashed`, `timeout`, `failed`, ..."""

    signal: str | None = None
    """Name of the signal that ended it, such as `SIGKILL`."""

    metric: str = "pss"
    """What was read; see `bench.sensors.memory_metrics.METRICS`. Two metrics are never compared."""

    anon_bytes: int | None = None
    """Private part of the footprint, at the moment of its peak."""

    shmem_bytes: int | None = None
    """Shared part of the footprint, at the moment of its peak, with objects in /dev/shm."""

    page_cache_bytes: int | None = None
    """Peak of the mapped files; the kernel takes them back, so they are not in the footprint."""

    unseen_bytes: int | None = None
    """How much higher the kernel's own peaks of the processes are than any reading of them, in all
    resident memory: a spike that no reading saw was at most so high. `None`: it does not say."""

    growth: Slope | None = None
    """Bytes that a round after the first one leaves behind; `None`: too few rounds."""

    left_bytes: int | None = None
    """What the footprint was after the loader was closed."""

    baseline_bytes: int | None = None
    """Private and shared memory of the baseline."""

    budget_bytes: int | None = None
    """What the case was allowed over the baseline; `None`: whatever it took."""

    enforcement: str | None = None
    """What kept the budget: `RLIMIT_DATA` or `watchdog`."""

    footprints: tuple[int, ...] = ()
    """The footprint of each process, ascending; growth is that of the first one with enough rounds,
    all else is of the process in the middle."""

    @property
    def footprint_bytes(self) -> int | None:
        """Peak of private and shared memory: what a machine can run out of."""
        if self.anon_bytes is None or self.shmem_bytes is None:
            return None
        return self.anon_bytes + self.shmem_bytes


def read_memory(result: CaseRecord | None) -> Memory | None:
    """Return the figures of a memory case; `None` if it was not run."""
    if result is None:
        return None
    raw = result.memory or MemoryRecord()
    known: dict[str, Any] = {
        "outcome": case_outcome(result),
        "signal": case_signal(result),
        "metric": raw.metric or "pss",
        "budget_bytes": raw.budget_bytes,
        "enforcement": raw.enforcement,
    }
    baseline, peak = raw.baseline, peak_reading(raw)
    if baseline is None or peak is None:
        return Memory(**known)
    readings = loader_readings(raw)
    base = baseline.counted_bytes
    closed = ends_of_phases(readings).get(CLOSED)
    return Memory(
        **known,
        anon_bytes=peak.anon - baseline.anon,
        shmem_bytes=peak.counted_bytes - base - (peak.anon - baseline.anon),
        page_cache_bytes=max(r.file for r in readings) - baseline.file,
        unseen_bytes=_unseen(raw.processes),
        growth=next((g for p in result.processes if p.memory and (g := _growth(p.memory))), None),
        left_bytes=None if closed is None else closed.counted_bytes - base,
        baseline_bytes=base,
        footprints=tuple(
            sorted(
                size for p in result.processes if (size := footprint_bytes(p.memory)) is not None
            )
        ),
    )


def _unseen(processes: list[ProcessPeak]) -> int | None:
    spikes = [
        each.kernel_peak_rss - each.sampled_peak_rss
        for each in processes
        if each.kernel_peak_rss is not None
    ]
    if not processes or len(spikes) < len(processes):
        return None
    return sum(max(0, spike) for spike in spikes)


def _growth(raw: MemoryRecord) -> Slope | None:
    rounds = ends_of_rounds(raw.readings)
    later = [(number, r.counted_bytes) for number, r in rounds.items() if number > 1]
    if len(later) < MIN_LATER_ROUNDS:
        return None
    return Slope.through(later, confidence=GROWTH_CONFIDENCE)
