"""One row a loader and its options: what the feed, training and memory cases say about it.

Owns: how raw values become figures, and which figures may be ranked.
Must not know: how a figure is written, sorted out or drawn.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from bench.report.endings import case_outcome, case_signal
from bench.statistics import Estimate, estimate_ratio

Config = tuple[str, int, str, int]
"""Backend, batch size, pixels, samples: only loaders that share them are compared."""

_BEFORE_LOADER = ("import", "model", "ceiling")
"""Phases of a memory case that lead up to its baseline."""

_DIGESTS_DIFFER = "audited as identical, but audits of the same batches have different digests"


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


@dataclass(frozen=True, kw_only=True)
class Row:
    """One loader with its options; a case that was not run is `None`."""

    backend: str
    loader: str
    batch_size: int
    pixels: str
    samples: int
    feed: Throughput | None = None
    train: Throughput | None = None
    memory: Memory | None = None
    identical: bool | None = None
    """Whether every audit found the batches of the reference; `None`: never audited."""

    digest: str | None = None
    """SHA-256 of the batches that the model was given."""

    difference: str | None = None
    """The first thing wrong with the batches."""

    @property
    def config(self) -> Config:
        """What loaders must share to be compared."""
        return self.backend, self.batch_size, self.pixels, self.samples

    def may_be_ranked(self, measured: Throughput | Memory | None) -> bool:
        """Whether a case of this row ended well and the row's batches are proven identical."""
        return measured is not None and measured.outcome == "ok" and self.identical is True


def rows_from_run(run: Mapping[str, Any]) -> list[Row]:
    """Merge the cases of a run into rows, sorted by options, then by loader.

    Args:
        run: the content of `run.json`, as `read_run` returns it; any case may be partial. Where a
            case stands twice the later one counts.

    Returns:
        One row for each backend, loader, batch size, pixels and number of samples.
    """
    merged: defaultdict[tuple[Any, ...], dict[str, Any]] = defaultdict(dict)
    for result in run["cases"]:
        case = result["case"]
        key = (case["backend"], case["batch_size"], case["pixels"], case["samples"], case["loader"])
        merged[key][case["bench"]] = result
    return _compare_digests([_row(key, merged[key]) for key in sorted(merged)])


def _row(key: tuple[Any, ...], results: Mapping[str, Any]) -> Row:
    backend, batch_size, pixels, samples, loader = key
    audits = [audit for name in results if (audit := results[name].get("audit"))]
    wrong = [audit for audit in audits if not audit.get("identical")]
    shown = (wrong or audits or [{}])[0]
    failed = bool(wrong) or any(case_outcome(r) == "audit_failed" for r in results.values())
    differ = len({audit.get("digest") for audit in audits}) > 1
    return Row(
        backend=backend,
        loader=loader,
        batch_size=batch_size,
        pixels=pixels,
        samples=samples,
        feed=_throughput(results.get("feed")),
        train=_throughput(results.get("train")),
        memory=_memory(results.get("memory")),
        identical=not (failed or differ) if audits or failed else None,
        digest=_text(shown.get("digest")),
        difference=_text(shown.get("first_difference")) or (_DIGESTS_DIFFER if differ else None),
    )


def _compare_digests(rows: list[Row]) -> list[Row]:
    """Let all rows fail that claim identical batches but disagree on what these are.

    An audit compares with a reference of its own process. Batches do not depend on the backend,
    so two digests for the same batches mean that a reference is wrong, and nobody knows which.
    """
    digests: defaultdict[tuple[Any, ...], set[str | None]] = defaultdict(set)
    for row in rows:
        if row.identical:
            digests[row.config[1:]].add(row.digest)
    return [
        replace(row, identical=False, difference=_DIGESTS_DIFFER)
        if row.identical and len(digests[row.config[1:]]) > 1
        else row
        for row in rows
    ]


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _throughput(result: Mapping[str, Any] | None) -> Throughput | None:
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


def _memory(result: Mapping[str, Any] | None) -> Memory | None:
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
