"""Samples the memory of process trees from outside: readings, phases, kernel peaks."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import asdict
from typing import Self, TypeVar

import psutil

from keras_loader_bench.bench.record.process_record import MemoryReading, MemoryRecord, Phase
from keras_loader_bench.bench.sensors.memory_metrics import (
    MemorySplit,
    Resident,
    available_metric,
    private_bytes,
    read_process,
)
from keras_loader_bench.bench.sensors.memory_peaks import ProcessPeaks
from keras_loader_bench.bench.sensors.shared_memory import SharedMemoryObjects
from keras_loader_bench.loaders.system.process_tree import kill_tree, members, session_members

T = TypeVar("T")

MIN_PERIOD_S = 0.02
"""Between readings."""

READING_LOAD = 0.01
"""Readings take at most this share of one core. One of a TensorFlow process takes up to 15 ms, in
which that process cannot map or unmap memory."""

MIN_LOOK_PERIOD_S = 0.005
LOOK_LOAD = 0.008
"""Looks at the kernel's counters, between readings, take at most this share."""

MOST_WAITING_S = 30.0
"""A reading takes milliseconds; what takes so long will not end."""

_LOOK_STEP = 2**16
"""Looks are kept that are so many bytes above everything before."""


def _sum(metric: str, pids: list[int]) -> MemorySplit:
    return sum((read_process(metric, pid) for pid in pids), MemorySplit())


class MemorySampler:
    """Reads process trees again and again on a thread, and says in which phase they were.

    A reading of a large process takes long, so that there are few. Between them the thread looks at
    the kernel's counters and at its exact peak since the last look. Those have shared pages once
    for each process, so for a single one they are as good as a reading: a look at one whose peak is
    above everything before becomes a reading marked `look`.

    ```python
    with MemorySampler(pid) as sampler:
        sampler.phase("import")
    sampler.add_to(record)
    ```

    Args:
        *pids: the roots of the trees, whose memory is added up; each the leader of its session, if
            looks are wanted.

    Raises:
        NotImplementedError: the memory of other processes cannot be read here.
    """

    def __init__(self, *pids: int) -> None:
        self._pids = pids
        self._roots = [psutil.Process(pid) for pid in pids]
        self._start = time.perf_counter()
        self._phase = "start"
        self._lock = threading.RLock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="memory-sampler", daemon=True)
        self._shared_memory = SharedMemoryObjects()
        self._peaks: ProcessPeaks | None = None
        self._baseline: MemoryReading | None = None
        self._baseline_resident: Resident | None = None
        self._file = 0  # mapped files at the latest look
        self._single = False  # whether there was one process in all readings since the baseline
        self._highest = 0  # of all readings since the baseline
        self._cpu_seconds = 0.0
        self._error: Exception | None = None  # of the thread
        self.guard: Callable[[int | None], None] | None = None
        """Called on the thread, at most every 20 ms, with the sum of the counters of the session:
        private and shared memory. `None`: there are none here."""
        self.metric = available_metric(pids[0])
        """Name of the metric of all readings; see `bench.sensors.memory_metrics.METRICS`."""
        self.readings: list[MemoryReading] = []
        self.phases: list[Phase] = []

    def phase(self, name: str) -> None:
        """Say that a new phase begins now."""
        with self._locked():
            self._phase = name
            self.phases.append(Phase(name=name, t=self._now()))

    def read(self) -> MemoryReading:
        """Take a reading now, add it to the others and return it.

        Raises:
            TimeoutError: it does not end.
        """
        return _within(MOST_WAITING_S, self._read)

    def _read(self) -> MemoryReading:
        with self._locked():
            self._look()  # a peak since the last look would be lost if no look came after it
            processes = self._members()
            pids = [process.pid for process in processes]
            split = asdict(_sum(self.metric, pids))
            dev_shm = self._shared_memory.unmapped_bytes(pids)
            reading = self._add(MemoryReading(**split, dev_shm=dev_shm))
            if self._peaks is not None:
                self._single &= len(processes) == 1
                self._peaks.follow(processes)
        return reading

    def _members(self) -> list[psutil.Process]:
        return [process for pid in self._pids for process in members(pid)]

    def begin_peaks(self) -> None:
        """Say that the latest reading is the baseline: from now on peaks count."""
        _within(MOST_WAITING_S, self._begin_peaks)

    def _begin_peaks(self) -> None:
        with self._locked():
            processes = self._members()
            self._peaks = ProcessPeaks(processes)
            self._baseline = self.readings[-1]
            self._highest = self._baseline.counted_bytes
            self._baseline_resident = self._peaks.begin_anew(self._roots[0])
            self._file = self._baseline_resident.file if self._baseline_resident else 0
            self._single = processes == self._roots[:1]

    def counted_bytes(self) -> int:
        """Return the private and shared memory of the latest reading."""
        with self._locked():
            return self.readings[-1].counted_bytes

    def add_to(self, record: MemoryRecord) -> None:
        """Put what was measured into the record of a case."""
        with self._locked():
            record.metric = self.metric
            record.phases, record.readings = self.phases, self.readings
            record.processes = self._peaks.record() if self._peaks else []
            record.sampler_cpu_seconds = round(self._cpu_seconds, 3)
            record.sampler_seconds = self._now()

    def __enter__(self) -> Self:
        self.read()
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop.set()
        self._thread.join(MOST_WAITING_S)
        if self._thread.is_alive():
            for pid in self._pids:
                kill_tree(pid)  # the kernel, for which the thread waits, may wait for the tree
            self._thread.join(MOST_WAITING_S)
            self._error = TimeoutError(f"a reading took over {MOST_WAITING_S:g} s")
        if self._error is not None and exc_info[0] is None:
            raise self._error  # or a case would look measured that was not

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        if not self._lock.acquire(timeout=MOST_WAITING_S):
            which = ", ".join(map(str, self._pids))
            raise TimeoutError(f"a reading of process {which} took over {MOST_WAITING_S:g} s")
        try:
            yield
        finally:
            self._lock.release()

    def _now(self) -> float:
        return round(time.perf_counter() - self._start, 4)

    def _add(self, sizes: MemoryReading) -> MemoryReading:
        reading = sizes._replace(t=self._now(), phase=self._phase)
        self.readings.append(reading)
        self._highest = max(self._highest, reading.counted_bytes)
        return reading

    def look(self) -> None:
        """Take a look now: before and after files are mapped, so that they count as files."""
        _within(MOST_WAITING_S, self._look_locked)

    def _look_locked(self) -> None:
        with self._locked():
            self._look()

    def _look(self) -> None:
        baseline = self._baseline
        if self._peaks is None or self._baseline_resident is None or not self._single:
            return
        assert baseline is not None
        now = self._peaks.begin_anew(self._roots[0])
        if now is None:
            return
        # What is no file was private. Between two looks files may have come, or the kernel may have
        # taken some back; at the peak there were hardly more of them than at both ends.
        private = max(now.private, now.peak - max(now.file, self._file))
        self._file = now.file
        # To the baseline, which was read while the process did nothing.
        added = private - self._baseline_resident.private
        if baseline.counted_bytes + added > self._highest + _LOOK_STEP:
            file = self.readings[-1].file
            self._add(baseline._replace(anon=baseline.anon + added, file=file, look=True))

    def _look_and_guard(self) -> None:
        self._look_locked()
        if self.guard is not None:
            processes = (process for pid in self._pids for process in session_members(pid))
            self.guard(private_bytes(process.pid for process in processes))

    def _run(self) -> None:
        try:
            self._read_and_look()
        except Exception as error:
            self._error = error

    def _read_and_look(self) -> None:
        """Read and look by turns, each at most for its share of one core."""
        next_reading, period = 0.0, MIN_PERIOD_S
        while not self._stop.wait(period):
            start, cpu_start = time.perf_counter(), time.thread_time()
            reads = start >= next_reading
            (self._read if reads else self._look_and_guard)()
            cpu = time.thread_time() - cpu_start
            self._cpu_seconds += cpu
            if reads:
                next_reading = start + max(MIN_PERIOD_S, cpu / READING_LOAD)
            else:
                least = MIN_LOOK_PERIOD_S if self.guard is None else MIN_PERIOD_S
                period = max(least, cpu / LOOK_LOAD)


def _within(seconds: float, do: Callable[[], T]) -> T:
    """Return what a function returns; on a thread, as nothing else ends a wait for the kernel.

    Raises:
        TimeoutError: it takes longer.
    """
    done: Future[T] = Future()

    def run() -> None:
        try:
            done.set_result(do())
        except BaseException as error:  # raised where the result is wanted
            done.set_exception(error)

    threading.Thread(target=run, name="memory-reading", daemon=True).start()
    return done.result(seconds)
