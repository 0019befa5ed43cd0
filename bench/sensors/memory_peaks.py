"""Reads the kernel's memory peaks of single processes, to check sampled ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import psutil

from keras_loader_bench.bench.record.process_record import ProcessPeak
from keras_loader_bench.bench.sensors.memory_metrics import Resident, read_resident, reset_peak


@dataclass
class _Peaks:
    """Resident memory of one process, in bytes."""

    baseline: int = 0
    """When this began; 0 for a process that began later."""
    sampled: int = 0
    """The largest value that was found since."""
    kernel: int = 0
    """The largest value that there was."""


class ProcessPeaks:
    """Peaks of resident memory since now.

    Args:
        processes: those that live now; others may come.
    """

    def __init__(self, processes: Iterable[psutil.Process]) -> None:
        self._of: dict[psutil.Process, _Peaks] = {}
        self._exact = True
        for process in processes:
            self._exact &= reset_peak(process.pid)
            now = read_resident(process.pid)
            if now is not None:
                self._of[process] = _Peaks(now.rss, now.rss, now.rss)

    def follow(self, processes: Iterable[psutil.Process]) -> None:
        """Take what the kernel says now."""
        for process in processes:
            self._take(process)

    def begin_anew(self, process: psutil.Process) -> Resident | None:
        """Return what the kernel says now, with its peak since the last call, or since the start.

        Returns:
            `None` if the process is gone or the kernel does not report it. If its peak
            cannot begin anew, that is what is resident now.
        """
        now = self._take(process)
        if now is not None and not (self._exact and reset_peak(process.pid)):
            return Resident(rss=now.rss, peak=now.rss, private=now.private)
        return now

    def _take(self, process: psutil.Process) -> Resident | None:
        now = read_resident(process.pid)
        if now is not None:
            known = self._of.setdefault(process, _Peaks())
            known.sampled = max(known.sampled, now.rss)
            known.kernel = max(known.kernel, now.peak)
        return now

    def record(self) -> list[ProcessPeak]:
        """Return every process that was seen."""
        return [
            ProcessPeak(
                baseline_rss=peaks.baseline,
                sampled_peak_rss=peaks.sampled,
                kernel_peak_rss=peaks.kernel if self._exact else None,
            )
            for peaks in self._of.values()
        ]
