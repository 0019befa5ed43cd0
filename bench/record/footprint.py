"""What counts as a footprint: private and shared memory over the baseline, without page cache.

Pure functions of the readings of a case.
"""

from __future__ import annotations

from collections.abc import Iterable

from keras_loader_bench.bench.record.process_record import MemoryReading, MemoryRecord

BEFORE_LOADER = ("start", "import", "model", "ceiling")
"""Phases of a memory case that lead up to its baseline."""

CLOSED = "closed"
"""The phase after the loader was closed."""


def loader_readings(memory: MemoryRecord) -> list[MemoryReading]:
    """Return the readings from the baseline on."""
    return [reading for reading in memory.readings if reading.phase not in BEFORE_LOADER]


def peak_reading(memory: MemoryRecord | None) -> MemoryReading | None:
    """Return the reading with the most memory since the baseline; `None` without a baseline."""
    readings = loader_readings(memory) if memory and memory.baseline else []
    return max(readings, key=lambda reading: reading.counted_bytes, default=None)


def footprint_bytes(memory: MemoryRecord | None) -> int | None:
    """Return peak minus baseline; `None` where there was no baseline."""
    peak = peak_reading(memory)
    if peak is None or memory is None or memory.baseline is None:
        return None
    return peak.counted_bytes - memory.baseline.counted_bytes


def ends_of_phases(readings: Iterable[MemoryReading]) -> dict[str, MemoryReading]:
    """Return phase -> the last reading in it, taken at its end.

    Looks are none of them: they tell of a peak that may have been before the reading before them.
    """
    return {reading.phase: reading for reading in readings if not reading.look}


def ends_of_rounds(readings: Iterable[MemoryReading]) -> dict[int, MemoryReading]:
    """Return number of an epoch or round -> the last reading in it."""
    found = {}
    for phase, reading in ends_of_phases(readings).items():
        kind, _, number = phase.partition(" ")
        if kind in ("epoch", "round") and number.isdecimal():
            found[int(number)] = reading
    return found


def bracket(lived: Iterable[int], died: Iterable[int]) -> tuple[int, int | None]:
    """Return the largest size that lived below the smallest that died, and that one.

    Returns:
        Samples; 0 where none lived, and `None` where none died.
    """
    smallest = min(died, default=None)
    below = (size for size in lived if smallest is None or size < smallest)
    return max(below, default=0), smallest
