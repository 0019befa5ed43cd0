"""Merges cases into rows: one per loader, number of workers and set of options."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from keras_loader_bench.bench.plan.options import COMPARED, ROW_OPTIONS, Options
from keras_loader_bench.bench.record.audit_record import PassResult
from keras_loader_bench.bench.record.schema import (
    DIFFERENT,
    IDENTICAL,
    SKIPPED,
    CaseRecord,
    RecordedFailure,
    Run,
)
from keras_loader_bench.bench.report.figures.audit_result import (
    DIFFERENT_DIGESTS,
    read_audit,
)
from keras_loader_bench.bench.report.figures.endings import case_outcome
from keras_loader_bench.bench.report.figures.memory_figures import Memory, read_memory
from keras_loader_bench.bench.report.figures.resolution import resolutions
from keras_loader_bench.bench.report.figures.throughput import (
    EmulatedFigures,
    Throughput,
    read_throughput,
)

BATCHES = tuple(name for name, each in ROW_OPTIONS.items() if each.changes_batches)
"""Options that decide what the batches are."""

_DIGESTS_DIFFER = "audited as identical, but audits of the same batches have different digests"


@dataclass(frozen=True, kw_only=True)
class Row(Options):
    """One loader with its workers and options; a case that was not run is `None`."""

    feed: Throughput | None = None
    train: Throughput | None = None
    memory: Memory | None = None
    emulated: tuple[EmulatedFigures, ...] = ()
    """With an emulated accelerator, by the time of its step."""

    identical: bool | None = None
    """Whether every audit found the batches of the reference; `None`: never audited."""

    loosely: bool = False
    """Whether an input's samples are others each time, so that their values were not compared."""

    verdict: str | None = None
    """What the audits found; see `bench.report.figures.audit_result`."""

    passes: tuple[PassResult, ...] = ()
    """The audit pass by pass: the first one that failed, otherwise the first one."""

    known_failure: RecordedFailure | None = None
    """Why this row is expected to fail its audit; `None`: it is not."""

    packages: tuple[str, ...] = ()
    """What the loader needs beyond NumPy and Keras with its backend; empty too where an older run
    does not tell."""

    digest: str | None = None
    """SHA-256 of the batches that the model was given."""

    difference: str | None = None
    """The first thing wrong with the batches."""

    @property
    def config(self) -> tuple[Any, ...]:
        """What rows must share to be compared: the values of `COMPARED`."""
        return _config(self)

    @property
    def label(self) -> str:
        """Name among the rows of one `config`: `sequence`, `sequence (2 workers)`."""
        return row_label(self.loader, self.num_workers)

    @property
    def footprint_bytes(self) -> int | None:
        """The footprint of a memory case that ended well; `None`: there is none."""
        memory = self.memory
        return memory.footprint_bytes if memory is not None and memory.outcome == "ok" else None

    @property
    def skipped(self) -> bool:
        """Whether there is nothing to show: every case was skipped."""
        own = [case for case in (self.feed, self.train, self.memory) if case is not None]
        cases = [*own, *(step.case for step in self.emulated)]
        return bool(cases) and all(case.outcome == SKIPPED for case in cases)

    def may_be_ranked(self, measured: Throughput | Memory | None) -> bool:
        """Whether a case of this row ended well and the row's batches are proven identical."""
        return measured is not None and measured.outcome == "ok" and self.identical is True


def row_label(loader: str, num_workers: int) -> str:
    """Return the name of a loader with its workers, if it has any."""
    if not num_workers:
        return loader
    return f"{loader} ({num_workers} worker{'s' if num_workers > 1 else ''})"


def rows_from_run(run: Run) -> list[Row]:
    """Merge the cases of a run into rows, sorted by options, then by loader and workers.

    Args:
        run: what `read_run` returned; any case may be partial. Where a
            case stands twice the later one counts.

    Returns:
        One row for each loader, number of workers and set of options; those of one backend stand
        together.
    """
    merged: defaultdict[tuple[Any, ...], dict[Any, CaseRecord]] = defaultdict(dict)
    for result in run.loader_cases:
        case = result.case
        key = (*_config(case), case.loader, case.num_workers)
        # Each emulated step is a measurement of its own; all of them are one row.
        merged[key][case.bench, case.step_ms, case.step_cpu] = result
    reaches = {
        (*_config(each.case), each.case.bench): each.reach
        for each in resolutions(run)
        if each.reach is not None
    }
    cores = run.environment.cores_in_all
    return _compare_digests([_row(key, merged[key], reaches, cores) for key in sorted(merged)])


def _config(options: Options) -> tuple[Any, ...]:
    return tuple(getattr(options, name) for name in COMPARED)


def not_skipped(rows: Iterable[Row]) -> list[Row]:
    """Return the rows of which anything was run."""
    return [row for row in rows if not row.skipped]


def _row(
    key: tuple[Any, ...],
    results: Mapping[Any, CaseRecord],
    reaches: Mapping[tuple[Any, ...], float],
    cores: int | None,
) -> Row:
    *config, loader, num_workers = key
    audits = [audit for result in results.values() if (audit := read_audit(result))]
    wrong = [audit for audit in audits if not audit.identical]
    shown = next(iter(wrong or audits), None)
    verdict = shown.verdict if shown else None
    difference = shown.first_difference if shown else None
    if not wrong and any(case_outcome(result) == "audit_failed" for result in results.values()):
        verdict = DIFFERENT
    elif not wrong and len({audit.digest for audit in audits}) > 1:
        verdict, difference = DIFFERENT_DIGESTS, _DIGESTS_DIFFER
    known = [failure for r in results.values() if (failure := r.known_failure)]
    by_bench = {bench: result for (bench, _, _), result in results.items()}

    def timed(bench: str) -> Throughput | None:
        resolution = reaches.get((*config, bench), 0.0)
        return read_throughput(by_bench.get(bench), resolution=resolution, cores=cores)

    return Row(
        **dict(zip(COMPARED, config, strict=True)),
        loader=loader,
        num_workers=num_workers,
        feed=timed("feed"),
        train=timed("train"),
        memory=read_memory(by_bench.get("memory")),
        emulated=tuple(
            EmulatedFigures(step_ms=step_ms, busy=busy, case=case)
            for (bench, step_ms, busy), result in sorted(results.items(), key=_step_of)
            if bench == "emulated" and (case := read_throughput(result))
        ),
        identical=None if verdict is None else verdict == IDENTICAL,
        loosely=any(audit.promise == "other_contents" for audit in audits),
        verdict=verdict,
        passes=tuple(shown.passes) if shown else (),
        known_failure=known[0] if known else None,
        packages=next((tuple(p) for r in results.values() if (p := r.packages)), ()),
        digest=shown.digest if shown else None,
        difference=difference,
    )


def _step_of(item: tuple[Any, Any]) -> tuple[bool, float]:
    (_, step_ms, busy), _ = item
    return busy, step_ms or 0.0


def _compare_digests(rows: list[Row]) -> list[Row]:
    """Let all rows fail that claim identical batches but disagree on what these are.

    An audit compares with a reference of its own process. Batches do not depend on the backend,
    so two digests for the same batches mean that a reference is wrong, and nobody knows which.
    """
    digests: defaultdict[tuple[Any, ...], set[str | None]] = defaultdict(set)
    for row in rows:
        if row.identical:
            digests[_batches(row)].add(row.digest)
    return [
        replace(row, identical=False, verdict=DIFFERENT_DIGESTS, difference=_DIGESTS_DIFFER)
        if row.identical and len(digests[_batches(row)]) > 1
        else row
        for row in rows
    ]


def _batches(row: Row) -> tuple[Any, ...]:
    return tuple(getattr(row, name) for name in BATCHES)
