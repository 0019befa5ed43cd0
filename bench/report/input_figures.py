"""Computes what is said of a user's input from the cases that measured it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from keras_loader_bench.bench.record.input_record import InputRecord
from keras_loader_bench.bench.record.schema import SKIPPED, AuditRecord, CaseRecord, Run
from keras_loader_bench.bench.report.endings import case_outcome
from keras_loader_bench.bench.report.figures import Throughput, read_throughput
from keras_loader_bench.bench.report.memory_figures import Memory, read_memory
from keras_loader_bench.bench.statistics import Estimate, ratios


@dataclass(frozen=True, kw_only=True)
class InputFigures:
    """One input on one backend; a figure that was not measured is `None`."""

    name: str
    backend: str
    model: str
    """What training fits: a user's model, `module:attribute`, or one of this suite's."""

    about: InputRecord | None = None
    alone: Estimate | None = None
    """Samples per second that reading gives without Keras."""

    feed: Throughput | None = None
    train: Throughput | None = None
    ceiling: Estimate | None = None
    """Samples per second of training with the input's first batches, already in memory."""

    memory: Memory | None = None
    whole_epochs: bool = False
    """Whether rounds of the memory case are whole epochs."""

    audit: AuditRecord | None = None
    failures: dict[str, str] = field(default_factory=dict)
    """Benchmark -> why it has no figures, in one line."""

    skipped: dict[str, str] = field(default_factory=dict)
    """The same for what was not tried."""

    @property
    def wait(self) -> Estimate | None:
        """Share of its time in which training waits for data: 1 - AU."""
        return self.train.data_stall if self.train and self.train.outcome == "ok" else None

    @property
    def delivered(self) -> Estimate | None:
        """Samples per second of training; of feed, if training was not measured."""
        for case in (self.train, self.feed):
            if case is not None and case.rate is not None:
                return case.rate
        return None


def inputs_of(run: Run, *, cores: int | None = None) -> list[InputFigures]:
    """Return the figures of all inputs of a run, in the order of its cases' options."""
    groups: dict[Any, list[CaseRecord]] = {}
    for result in run.cases:
        case = result.case
        if case.is_input:
            key = (case.backend, case.device, case.jit_compile, case.steps, case.loader)
            groups.setdefault(key, []).append(result)
    return [_figures(groups[key], cores) for key in sorted(groups)]


def _figures(results: Sequence[CaseRecord], cores: int | None) -> InputFigures:
    by_bench = {result.case.bench: result for result in results}
    feed, train, memory = (by_bench.get(bench) for bench in ("feed", "train", "memory"))
    any_case = results[0].case
    wrong = ("ok", "audit_failed", SKIPPED)
    readings = memory.memory.readings if memory and memory.memory else []
    return InputFigures(
        name=any_case.loader,
        backend=any_case.backend,
        model=any_case.model,
        about=next((each.input for each in results if each.input), None),
        alone=_alone(feed),
        feed=read_throughput(feed, cores=cores),
        train=read_throughput(train, cores=cores),
        ceiling=_ceiling(train),
        memory=read_memory(memory),
        whole_epochs=any(reading.phase.startswith("epoch") for reading in readings),
        audit=next((each.audit for each in results if each.audit), None),
        failures={
            each.case.bench: _message(each) for each in results if case_outcome(each) not in wrong
        },
        skipped={each.case.bench: _message(each) for each in results if each.outcome == SKIPPED},
    )


def _message(result: CaseRecord) -> str:
    error = result.error
    return (error.message if error and error.message else None) or result.outcome


def _alone(feed: CaseRecord | None) -> Estimate | None:
    if feed is None:
        return None
    return Estimate.from_processes(
        {
            process.number: ratios(
                [each.samples or None for each in process.direct_reads],
                [each.seconds for each in process.direct_reads],
            )
            for process in feed.processes
        }
    )


def _ceiling(train: CaseRecord | None) -> Estimate | None:
    if train is None:
        return None
    return Estimate.from_processes(
        {
            process.number: ratios(
                [each.samples or None for each in process.rounds],
                [each.ceiling_seconds for each in process.rounds],
            )
            for process in train.processes
        }
    )
