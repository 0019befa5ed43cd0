"""Memory of a process tree, read from outside again and again: readings, phases, kernel's peaks.

Must not know: cases, loaders, results.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Self

import psutil

from bench.footprint import counted_bytes
from bench.memory_metrics import (
    MemorySplit,
    Resident,
    available_metric,
    read_process,
    read_resident,
    reset_peak,
)
from bench.shared_memory import SharedMemoryObjects
from loaders.process_tree import members

MIN_PERIOD_S = 0.02
READING_LOAD = 0.015
"""Readings take at most this share of one core; with `bench.watchdog` beside them less than 2%. One
of a TensorFlow process takes up to 15 ms, in which that process cannot map or unmap memory."""


def read_tree(pid: int, metric: str = "pss") -> MemorySplit:
    """Return the memory of a process, its descendants and its session, found again at every call.

    Args:
        pid: a process; nothing where it is gone.
        metric: see `bench.memory_metrics.METRICS`.
    """
    return _sum(metric, [process.pid for process in members(pid)])


def _sum(metric: str, pids: list[int]) -> MemorySplit:
    return sum((read_process(metric, pid) for pid in pids), MemorySplit())


@dataclass
class _Peaks:
    """Resident memory of one process, in bytes."""

    baseline: int = 0
    """When peaks were reset; 0 for a process that began later."""
    sampled: int = 0
    """The largest value that a reading saw since."""
    kernel: int = 0
    """The largest value that there was."""
    exact: bool = True
    """Whether the kernel's peak could be reset at the baseline."""

    def add(self, now: Resident) -> None:
        self.sampled = max(self.sampled, now.rss)
        self.kernel = max(self.kernel, now.peak)


class MemorySampler:
    """Reads a process tree again and again on a thread, and says in which phase it was.

    ```python
    with MemorySampler(pid) as sampler:
        sampler.phase("import")
        ...
    record = sampler.record()
    ```

    Args:
        pid: the root of the tree.

    Raises:
        NotImplementedError: the memory of other processes cannot be read here.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._start = time.perf_counter()
        self._phase = "start"
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="memory-sampler", daemon=True)
        self._shared_memory = SharedMemoryObjects()
        self._peaks: dict[psutil.Process, _Peaks] | None = None
        self._cpu_seconds = 0.0
        self.metric = available_metric(pid)
        """Name of the metric of all readings; see `bench.memory_metrics.METRICS`."""
        self.readings: list[dict[str, Any]] = []
        """`t` seconds since the start, `phase`, and in bytes `anon`, `file`, `shmem` and `dev_shm`:
        objects in /dev/shm that the tree made and does not map."""
        self.phases: list[dict[str, Any]] = []
        """`name` of each phase and `t` seconds since the start at which it began."""

    def phase(self, name: str) -> None:
        """Say that a new phase begins now."""
        with self._lock:
            self._phase = name
            self.phases.append({"name": name, "t": self._now()})

    def read(self) -> dict[str, Any]:
        """Take a reading now, add it to the others and return it."""
        with self._lock:
            processes = members(self._pid)
            pids = [process.pid for process in processes]
            split = _sum(self.metric, pids)
            reading = {
                "t": self._now(),
                "phase": self._phase,
                **asdict(split),
                "dev_shm": self._shared_memory.unmapped_bytes(pids),
            }
            self.readings.append(reading)
            self._follow_peaks(processes)
        return reading

    def counted_bytes(self) -> int:
        """Return the private and shared memory of the latest reading."""
        with self._lock:
            return counted_bytes(self.readings[-1])

    def begin_peaks(self) -> None:
        """Take the kernel's peak of every process from now on."""
        with self._lock:
            self._peaks = {}
            for process in members(self._pid):
                exact = reset_peak(process.pid)
                now = read_resident(process.pid)
                if now is not None:
                    peaks = _Peaks(baseline=now.rss, exact=exact)
                    peaks.add(now)
                    self._peaks[process] = peaks

    def record(self) -> dict[str, Any]:
        """Return what was measured, as it stands in `run.json`.

        `processes` has those that were alive since the baseline, the root first: `baseline_rss`,
        `sampled_peak_rss` and `kernel_peak_rss` in bytes. `sampler_cpu_seconds` is what the
        periodic readings cost in `sampler_seconds`.
        """
        with self._lock:
            return {
                "metric": self.metric,
                "phases": self.phases,
                "readings": self.readings,
                "processes": [
                    {
                        "baseline_rss": peaks.baseline,
                        "sampled_peak_rss": peaks.sampled,
                        "kernel_peak_rss": peaks.kernel if peaks.exact else None,
                    }
                    for peaks in (self._peaks or {}).values()
                ],
                "sampler_cpu_seconds": round(self._cpu_seconds, 3),
                "sampler_seconds": self._now(),
            }

    def __enter__(self) -> Self:
        self.read()
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop.set()
        self._thread.join()

    def _now(self) -> float:
        return round(time.perf_counter() - self._start, 4)

    def _follow_peaks(self, processes: list[psutil.Process]) -> None:
        if self._peaks is None:
            return
        for process in processes:
            now = read_resident(process.pid)
            if now is not None:
                self._peaks.setdefault(process, _Peaks()).add(now)

    def _run(self) -> None:
        self._cpu_seconds = repeat(self.read, self._stop, load=READING_LOAD)


def repeat(action: Callable[[], object], stop: threading.Event, *, load: float) -> float:
    """Act periodically until stopped.

    Args:
        action: what to do, every 20 ms or less often.
        stop: ends it.
        load: the share of one core that it may take.

    Returns:
        The CPU seconds that it took.
    """
    spent, period = 0.0, MIN_PERIOD_S
    while not stop.wait(period):
        start, cpu_start = time.perf_counter(), time.thread_time()
        action()
        elapsed, cpu = time.perf_counter() - start, time.thread_time() - cpu_start
        spent += cpu
        period = max(MIN_PERIOD_S, cpu / load - elapsed)
    return spent
