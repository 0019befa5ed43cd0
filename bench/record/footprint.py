"""What counts as a footprint, and as a death by the budget.

A footprint is private and shared memory over the baseline, without page cache. Pure functions of
the raw memory record of a case. Must not know: how it was measured or is shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

BEFORE_LOADER = ("start", "import", "model", "ceiling")
"""Phases of a memory case that lead up to its baseline."""

CLOSED = "closed"
"""The phase after the loader was closed."""

DEATHS = ("refused", "over_budget", "crashed", "timeout")
"""Outcomes by which a case dies of its budget: results, and no failures, where it had one."""

Reading = Mapping[str, Any]


def counted_bytes(reading: Reading) -> int:
    """Return the memory of a reading that a machine can run out of."""
    held: int = reading["anon"] + reading["shmem"] + reading.get("dev_shm", 0)
    return held


def loader_readings(memory: Mapping[str, Any]) -> list[Reading]:
    """Return the readings from the baseline on."""
    return [r for r in memory.get("readings", ()) if r["phase"] not in BEFORE_LOADER]


def peak_reading(memory: Mapping[str, Any] | None) -> Reading | None:
    """Return the reading with the most memory since the baseline; `None` without a baseline."""
    readings = loader_readings(memory) if memory and memory.get("baseline") else []
    return max(readings, key=counted_bytes, default=None)


def footprint_bytes(memory: Mapping[str, Any] | None) -> int | None:
    """Return peak minus baseline; `None` where there was no baseline.

    Args:
        memory: the raw memory record of a case, as in `run.json`.
    """
    peak = peak_reading(memory)
    if peak is None or memory is None:
        return None
    return counted_bytes(peak) - counted_bytes(memory["baseline"])


def ends_of_phases(readings: Iterable[Reading]) -> dict[str, Reading]:
    """Return phase -> the last reading in it, taken at its end.

    Looks are none of them: they tell of a peak that may have been before the reading before them.
    """
    return {reading["phase"]: reading for reading in readings if not reading.get("look")}


def ends_of_rounds(readings: Iterable[Reading]) -> dict[int, Reading]:
    """Return number of an epoch or round -> the last reading in it."""
    found = {}
    for phase, reading in ends_of_phases(readings).items():
        kind, _, number = phase.partition(" ")
        if kind in ("epoch", "round") and number.isdecimal():
            found[int(number)] = reading
    return found


def died_of_budget(record: Mapping[str, Any]) -> bool:
    """Whether a case died while it had a memory budget.

    Args:
        record: a case, as in `run.json`.
    """
    memory = record.get("memory") or {}
    return record["outcome"] in DEATHS and memory.get("enforcement") is not None


def bracket(lived: Iterable[int], died: Iterable[int]) -> tuple[int, int | None]:
    """Return the largest size that lived below the smallest that died, and that one.

    Returns:
        Samples; 0 where none lived, and `None` where none died.
    """
    smallest = min(died, default=None)
    below = (size for size in lived if smallest is None or size < smallest)
    return max(below, default=0), smallest
