"""The memory metrics of a process, best first, and which of them a system offers.

Figures of different metrics are never compared, so each is stored with its metric. `ru_maxrss` is
not used, because a process inherits it over fork and exec.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

PROC = Path("/proc")

_PSS = {"anon": "Pss_Anon", "file": "Pss_File", "shmem": "Pss_Shmem"}
_RSS = {"anon": "RssAnon", "file": "RssFile", "shmem": "RssShmem"}
_GONE = (ProcessLookupError, FileNotFoundError, psutil.NoSuchProcess)


@dataclass(frozen=True, kw_only=True)
class MemorySplit:
    """Memory by what the kernel can do with it, in bytes."""

    anon: int = 0
    """Private memory; with a metric that is not split, all of it."""
    file: int = 0
    """Pages of mapped files: cache, which the kernel takes back under pressure."""
    shmem: int = 0
    """Shared memory that is mapped."""

    def __add__(self, other: MemorySplit) -> MemorySplit:
        return MemorySplit(
            anon=self.anon + other.anon,
            file=self.file + other.file,
            shmem=self.shmem + other.shmem,
        )


def read_pss(pid: int) -> MemorySplit:
    """PSS (proportional set size): a page that k processes share counts as 1/k in each of them.

    So it can be added up over processes. Linux 5.9 or newer.
    https://www.kernel.org/doc/Documentation/ABI/testing/procfs-smaps_rollup
    """
    return _split((PROC / str(pid) / "smaps_rollup").read_text(), _PSS)


def read_rss_split(pid: int) -> MemorySplit:
    """RSS (resident set size), split: pages shared by k processes count k times. Linux.

    https://www.kernel.org/doc/html/latest/filesystems/proc.html
    """
    return _split((PROC / str(pid) / "status").read_text(), _RSS)


def read_uss(pid: int) -> MemorySplit:
    """USS (unique set size): private memory alone, not split. macOS and Windows."""
    return MemorySplit(anon=psutil.Process(pid).memory_full_info().uss)


def read_rss(pid: int) -> MemorySplit:
    """RSS, not split: page cache included, pages shared by k processes counted k times."""
    return MemorySplit(anon=psutil.Process(pid).memory_info().rss)


METRICS: Mapping[str, Callable[[int], MemorySplit]] = {
    "pss": read_pss,
    "rss_split": read_rss_split,
    "uss": read_uss,
    "rss": read_rss,
}
"""Name of a metric -> how it is read, best first."""


def available_metric(pid: int) -> str:
    """Return the best metric that can be read of a living process.

    Raises:
        NotImplementedError: none can.
    """
    problems = []
    for name, read in METRICS.items():
        try:
            read(pid)
        # Missing on this system, too old a kernel, or forbidden.
        except (OSError, KeyError, AttributeError, psutil.Error) as error:
            problems.append(f"{name}: {type(error).__name__} {error}")
        else:
            return name
    raise NotImplementedError(
        f"The memory of process {pid} cannot be read here ({'; '.join(problems)}); deselect these "
        "cases with `-k 'not memory'`."
    )


def read_process(metric: str, pid: int) -> MemorySplit:
    """Return the memory of a process; nothing if it is gone, as a zombie's is."""
    try:
        return METRICS[metric](pid)
    except (*_GONE, KeyError):  # a process that is ending has a status without memory
        return MemorySplit()


@dataclass(frozen=True, kw_only=True)
class Resident:
    """What the kernel counts for one process all the time, in bytes; all of it is resident."""

    rss: int
    """Now: private, shared and mapped files."""

    peak: int
    """VmHWM: the exact peak of `rss` since the process began or `reset_peak`."""

    private: int
    """Private and shared memory now; a page that k processes share counts k times."""

    @property
    def file(self) -> int:
        """Pages of mapped files now."""
        return self.rss - self.private


def read_resident(pid: int) -> Resident | None:
    """Return the kernel's counters, quickly (30 us); `None` if there are none, or no more."""
    try:
        text = (PROC / str(pid) / "status").read_text()
        names = {"rss": "VmRSS", "peak": "VmHWM", "anon": "RssAnon", "shmem": "RssShmem"}
        values = _values(text, names)
    except (OSError, KeyError):
        return None
    private = values["anon"] + values["shmem"]
    return Resident(rss=values["rss"], peak=values["peak"], private=private)


def reset_peak(pid: int) -> bool:
    """Let `Resident.peak` begin anew; return whether the kernel does so."""
    try:
        (PROC / str(pid) / "clear_refs").write_text("5")
    except OSError:
        return False
    return True


def data_bytes() -> int:
    """Return what RLIMIT_DATA counts of this process now: its private, writable address space.

    Raises:
        OSError: the system does not say.
    """
    return _values((PROC / str(os.getpid()) / "status").read_text(), {"data": "VmData"})["data"]


def _split(text: str, names: Mapping[str, str]) -> MemorySplit:
    return MemorySplit(**_values(text, names))


def _values(text: str, names: Mapping[str, str]) -> dict[str, int]:
    """Return bytes by our names.

    Raises:
        KeyError: the text lacks one: the kernel is too old, or the process is ending.
    """
    lines = dict(line.split(":", 1) for line in text.splitlines() if ":" in line)
    # The files say kB and mean KiB.
    return {ours: int(lines[theirs].split()[0]) * 1024 for ours, theirs in names.items()}


def private_bytes(pids: Iterable[int]) -> int | None:
    """Return private and shared memory by the kernel's counters; `None`: there are none."""
    counted = [read_resident(pid) for pid in pids]
    known = [now.private for now in counted if now is not None]
    return sum(known) if known else None
