"""Memory of a process tree, read from outside: PSS, split by what the kernel can take back.

PSS (proportional set size) counts a page that k processes share as 1/k of it in each, so that it
can be added up over a tree; RSS cannot. `ru_maxrss` is inherited over fork and exec: never used.
https://www.kernel.org/doc/Documentation/ABI/testing/procfs-smaps_rollup
Must not know: cases, loaders, results.
"""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from loaders.process_tree import members

MIN_PERIOD_S = 0.02
MAX_LOAD = 0.05
"""A reading of a TensorFlow process takes up to 15 ms, in which that process cannot map or unmap
memory: readings take at most this share of the time."""

_FIELDS = {"Pss_Anon": "anon", "Pss_File": "file", "Pss_Shmem": "shmem"}


@dataclass(frozen=True, kw_only=True)
class PssSplit:
    """PSS of a process tree, in bytes."""

    anon: int = 0
    """Private memory."""
    file: int = 0
    """Pages of mapped files: cache, which the kernel takes back under pressure."""
    shmem: int = 0
    """Shared memory."""

    def __add__(self, other: PssSplit) -> PssSplit:
        return PssSplit(
            anon=self.anon + other.anon,
            file=self.file + other.file,
            shmem=self.shmem + other.shmem,
        )


def parse_smaps_rollup(text: str) -> PssSplit:
    """Return the split that one `smaps_rollup` file states.

    Raises:
        KeyError: the kernel is older than 5.9 and does not split PSS.
    """
    values = {}
    for line in text.splitlines()[1:]:
        name, _, rest = line.partition(":")
        if name in _FIELDS:
            values[_FIELDS[name]] = int(rest.split()[0]) * 1024  # the file says kB, means KiB
    return PssSplit(anon=values["anon"], file=values["file"], shmem=values["shmem"])


def read_tree(pid: int) -> PssSplit:
    """Return the PSS of a process and its descendants, found again at every call.

    Raises:
        NotImplementedError: this system has no `smaps_rollup`.
    """
    total = PssSplit()
    for process in members(pid):
        path = Path(f"/proc/{process.pid}/smaps_rollup")
        # It may end between being found and being read, and a zombie has no memory.
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            total += parse_smaps_rollup(path.read_text())
    if total == PssSplit() and not Path("/proc/self/smaps_rollup").exists():
        raise NotImplementedError(
            "Memory is read from /proc/<pid>/smaps_rollup (Linux 5.9 or newer), which this system "
            "does not have; deselect these cases with `-k 'not memory'`."
        )
    return total


class MemorySampler:
    """Reads a process tree again and again on a thread, and says in which phase it was.

    ```python
    with MemorySampler(pid) as sampler:
        sampler.phase("import")
        ...
    readings = sampler.readings
    ```
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._start = time.perf_counter()
        self._phase = "start"
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="memory-sampler", daemon=True)
        self.readings: list[dict[str, Any]] = []
        """`t` seconds since the start, `phase`, `anon`, `file` and `shmem` bytes."""

    def phase(self, name: str) -> None:
        """Say that a new phase begins now."""
        with self._lock:
            self._phase = name

    def read(self) -> PssSplit:
        """Take a reading now, add it to the others and return it."""
        with self._lock:
            split = read_tree(self._pid)
            moment = time.perf_counter() - self._start
            self.readings.append({"t": round(moment, 4), "phase": self._phase, **asdict(split)})
        return split

    def __enter__(self) -> Self:
        self.read()  # a system where this is impossible says so here, not on the thread
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        period = MIN_PERIOD_S
        while not self._stop.wait(period):
            start = time.perf_counter()
            self.read()
            period = max(MIN_PERIOD_S, (time.perf_counter() - start) / MAX_LOAD)
