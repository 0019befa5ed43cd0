"""One row a loader, its workers and its options: what its feed, training and memory cases say.

Owns: which cases belong together, and which of them may be ranked.
Must not know: how raw values become figures, how a figure is written, sorted out or drawn.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bench.report.audit import (
    DIFFERENT,
    DIFFERENT_DIGESTS,
    IDENTICAL,
    KnownFailure,
    Pass,
    read_audit,
    read_known_failure,
)
from bench.report.endings import SKIPPED, case_outcome
from bench.report.figures import Throughput, read_throughput
from bench.report.memory_figures import Memory, read_memory

Config = tuple[str, int, str, int]
"""Backend, batch size, pixels, samples: only rows that share them are compared."""

_DIGESTS_DIFFER = "audited as identical, but audits of the same batches have different digests"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One loader with its workers and options; a case that was not run is `None`."""

    backend: str
    loader: str
    num_workers: int = 0
    """Threads or processes beside the one that trains; 0 for a loader that has none."""

    batch_size: int
    pixels: str
    samples: int
    feed: Throughput | None = None
    train: Throughput | None = None
    memory: Memory | None = None
    identical: bool | None = None
    """Whether every audit found the batches of the reference; `None`: never audited."""

    verdict: str | None = None
    """What the audits found; see `bench.report.audit`."""

    passes: tuple[Pass, ...] = ()
    """The audit pass by pass: the first one that failed, otherwise the first one."""

    known_failure: KnownFailure | None = None
    """Why this row is expected to fail its audit; `None`: it is not."""

    digest: str | None = None
    """SHA-256 of the batches that the model was given."""

    difference: str | None = None
    """The first thing wrong with the batches."""

    @property
    def config(self) -> Config:
        """What rows must share to be compared."""
        return self.backend, self.batch_size, self.pixels, self.samples

    @property
    def label(self) -> str:
        """Name among the rows of one `config`: `sequence`, `sequence (2 workers)`."""
        return row_label(self.loader, self.num_workers)

    @property
    def skipped(self) -> bool:
        """Whether there is nothing to show: every case was skipped."""
        cases = [case for case in (self.feed, self.train, self.memory) if case is not None]
        return bool(cases) and all(case.outcome == SKIPPED for case in cases)

    def may_be_ranked(self, measured: Throughput | Memory | None) -> bool:
        """Whether a case of this row ended well and the row's batches are proven identical."""
        return measured is not None and measured.outcome == "ok" and self.identical is True


def row_label(loader: str, num_workers: int) -> str:
    """Return the name of a loader with its workers, if it has any."""
    if not num_workers:
        return loader
    return f"{loader} ({num_workers} worker{'s' if num_workers > 1 else ''})"


def rows_from_run(run: Mapping[str, Any]) -> list[Row]:
    """Merge the cases of a run into rows, sorted by options, then by loader and workers.

    Args:
        run: the content of `run.json`, as `read_run` returns it; any case may be partial. Where a
            case stands twice the later one counts.

    Returns:
        One row for each backend, loader, number of workers, batch size, pixels and number of
        samples; those of one backend stand together.
    """
    merged: defaultdict[tuple[Any, ...], dict[str, Any]] = defaultdict(dict)
    for result in run["cases"]:
        case = result["case"]
        options = case["backend"], case["batch_size"], case["pixels"], case["samples"]
        key = (*options, case["loader"], case["num_workers"])
        merged[key][case["bench"]] = result
    return _compare_digests([_row(key, merged[key]) for key in sorted(merged)])


def not_skipped(rows: Iterable[Row]) -> list[Row]:
    """Return the rows of which anything was run."""
    return [row for row in rows if not row.skipped]


def _row(key: tuple[Any, ...], results: Mapping[str, Any]) -> Row:
    backend, batch_size, pixels, samples, loader, num_workers = key
    audits = [audit for result in results.values() if (audit := read_audit(result))]
    wrong = [audit for audit in audits if not audit.identical]
    shown = next(iter(wrong or audits), None)
    verdict = shown.verdict if shown else None
    difference = shown.difference if shown else None
    if not wrong and any(case_outcome(result) == "audit_failed" for result in results.values()):
        verdict = DIFFERENT
    elif not wrong and len({audit.digest for audit in audits}) > 1:
        verdict, difference = DIFFERENT_DIGESTS, _DIGESTS_DIFFER
    known = [failure for r in results.values() if (failure := read_known_failure(r))]
    return Row(
        backend=backend,
        loader=loader,
        num_workers=num_workers,
        batch_size=batch_size,
        pixels=pixels,
        samples=samples,
        feed=read_throughput(results.get("feed")),
        train=read_throughput(results.get("train")),
        memory=read_memory(results.get("memory")),
        identical=None if verdict is None else verdict == IDENTICAL,
        verdict=verdict,
        passes=shown.passes if shown else (),
        known_failure=known[0] if known else None,
        digest=shown.digest if shown else None,
        difference=difference,
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
        replace(row, identical=False, verdict=DIFFERENT_DIGESTS, difference=_DIGESTS_DIFFER)
        if row.identical and len(digests[row.config[1:]]) > 1
        else row
        for row in rows
    ]
