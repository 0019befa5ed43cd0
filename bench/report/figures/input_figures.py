"""Computes what is said of a user's input from the cases that measured it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import median
from typing import Any

from keras_loader_bench.bench.plan.case import Case
from keras_loader_bench.bench.plan.remedies import NONE, REMEDIES, Remedy
from keras_loader_bench.bench.record.audit_record import AuditRecord
from keras_loader_bench.bench.record.input_record import InputRecord
from keras_loader_bench.bench.record.process_record import ProcessRecord
from keras_loader_bench.bench.record.schema import NOT_APPLICABLE, SKIPPED, CaseRecord, Run
from keras_loader_bench.bench.report.figures.endings import case_outcome
from keras_loader_bench.bench.report.figures.memory_figures import Memory, read_memory
from keras_loader_bench.bench.report.figures.resolution import resolutions
from keras_loader_bench.bench.report.figures.throughput import Throughput, read_throughput
from keras_loader_bench.bench.statistics import Estimate, ratios

Pairs = list[tuple[int | None, float | None]]
"""Samples and seconds."""


@dataclass(frozen=True, kw_only=True)
class Tried:
    """One input with one remedy."""

    remedy: Remedy
    bench: str
    """What was measured of it: `train` or `feed`."""

    figures: Throughput | None
    audit: AuditRecord | None = None
    failure: str | None = None
    """Why it has no figures, in one line."""

    kept_bytes: int | None = None
    """What batches that are kept in memory take."""


@dataclass(frozen=True, kw_only=True)
class InputFigures:
    """One input on one backend; a figure that was not measured is `None`."""

    name: str
    backend: str
    model: str
    """What training fits: a user's model, `module:attribute`, or one of this suite's."""

    steps: int = 0
    """Batches per epoch that were asked for; 0: all."""

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
    parts: dict[str, float] = field(default_factory=dict)
    """Seconds per batch of what makes it and brings it to the model; see
    `bench.child.inputs.input_parts`. Medians of the processes."""

    step_s: float | None = None
    """Seconds per batch of training with the input's batches in memory."""

    batch_s: float | None = None
    """Seconds per batch of training; of feed, if training was not measured."""

    tried: tuple[Tried, ...] = ()
    """Remedies that apply, in the order of `bench.plan.remedies.REMEDIES`."""

    failures: dict[str, str] = field(default_factory=dict)
    """Benchmark -> why it has no figures, in one line."""

    skipped: dict[str, str] = field(default_factory=dict)
    """The same for what was not tried."""

    @property
    def wait(self) -> Estimate | None:
        """Share of its time in which training waits for data: 1 - AU."""
        return self.train.data_stall if self.train and self.train.outcome == "ok" else None


def inputs_of(run: Run, *, cores: int | None = None) -> list[InputFigures]:
    """Return the figures of all inputs of a run, in the order of its cases' options."""
    groups: dict[Any, list[CaseRecord]] = {}
    for result in run.cases:
        case = result.case
        if case.is_input:
            key = (case.backend, case.device, case.jit_compile, case.steps, case.loader)
            groups.setdefault(key, []).append(result)
    reaches = {each.case: each.reach or 0.0 for each in resolutions(run)}
    return [_figures(groups[key], reaches, cores) for key in sorted(groups)]


def _figures(
    results: Sequence[CaseRecord], reaches: Mapping[Case, float], cores: int | None
) -> InputFigures:
    own = [result for result in results if result.case.remedy == NONE]
    by_bench = {result.case.bench: result for result in own}
    feed, train, memory = (by_bench.get(bench) for bench in ("feed", "train", "memory"))
    any_case = results[0].case
    about = next((each.input for each in own if each.input), None)
    ceiling = _rate(train, _ceiling_rounds)
    size = about.mean_batch_size if about else 0.0
    training, feeding = (_throughput(case, reaches, cores) for case in (train, feed))
    rate = next((c.rate for c in (training, feeding) if c and c.rate), None)
    measured = ("ok", "audit_failed", SKIPPED)
    readings = memory.memory.readings if memory and memory.memory else []
    return InputFigures(
        name=any_case.loader,
        backend=any_case.backend,
        model=any_case.model,
        steps=any_case.steps,
        about=about,
        alone=_rate(feed, _direct_reads),
        feed=feeding,
        train=training,
        ceiling=ceiling,
        parts=_parts(train) or _parts(feed),
        step_s=size / ceiling.median if ceiling else None,
        batch_s=size / rate.median if rate else None,
        tried=tuple(
            _tried(result, about, cores)
            for name in REMEDIES
            for result in results
            if result.case.remedy == name and result.outcome != SKIPPED
        ),
        memory=read_memory(memory),
        whole_epochs=any(reading.phase.startswith("epoch") for reading in readings),
        audit=next((each.audit for each in own if each.audit), None),
        failures={
            each.case.bench: _message(each) for each in own if case_outcome(each) not in measured
        },
        skipped={
            each.case.bench: _message(each)
            for each in own
            # What would fail as the first case did goes without saying.
            if each.outcome == SKIPPED and not (each.error and each.error.type == NOT_APPLICABLE)
        },
    )


def _throughput(
    result: CaseRecord | None, reaches: Mapping[Case, float], cores: int | None
) -> Throughput | None:
    """Return the figures of a case; no difference within its resolution is one of its rate."""
    found = read_throughput(result, cores=cores)
    if result is None or found is None or found.rate is None:
        return found
    return replace(found, rate=replace(found.rate, resolution=reaches.get(result.case, 0.0)))


def _tried(result: CaseRecord, about: InputRecord | None, cores: int | None) -> Tried:
    remedy = REMEDIES[result.case.remedy]
    fine = case_outcome(result) in ("ok", "audit_failed")
    return Tried(
        remedy=remedy,
        bench=result.case.bench,
        figures=read_throughput(result, cores=cores),
        audit=result.audit,
        failure=None if fine else _message(result),
        kept_bytes=_bytes_of(about) if remedy.repeats and about else None,
    )


def _bytes_of(about: InputRecord) -> int | None:
    """Return what the batches of an epoch take, by the first one."""
    sizes = [math.prod(shape) * width for width, shape in _arrays(about.form)]
    return sum(sizes) * about.batches if about.batches else None


def _arrays(form: Any) -> Iterator[tuple[int, list[int]]]:
    """Yield bytes per value and shape of each array of a form."""
    if isinstance(form, dict) and form.keys() == {"dtype", "shape"}:
        bits = re.search(r"\d+", form["dtype"])
        yield (int(bits[0]) // 8 if bits else 1), form["shape"]
    elif isinstance(form, dict | list):
        for each in form.values() if isinstance(form, dict) else form:
            yield from _arrays(each)


def _parts(result: CaseRecord | None) -> dict[str, float]:
    found = [each.parts for each in result.processes if each.parts] if result else []
    names = dict.fromkeys(name for parts in found for name in parts)
    return {name: median(p[name] for p in found if name in p) for name in names}


_SAY_ALL = ("TargetError", "BatchError", "ModelError", "RemedyError", "UnknownInput")
"""Types of this suite's errors, whose messages say all."""


def _message(result: CaseRecord) -> str:
    error = result.error
    if error is None or not error.message:
        return result.outcome
    own = result.outcome != "failed" or error.type in _SAY_ALL
    return error.message if own else f"{error.type}: {error.message}"


def _rate(case: CaseRecord | None, of_process: Callable[[ProcessRecord], Pairs]) -> Estimate | None:
    """Return samples per second, given the samples and the seconds of each process' rounds."""
    pairs = {each.number: of_process(each) for each in case.processes} if case else {}
    return Estimate.from_processes(
        {
            number: ratios((samples or None for samples, _ in each), (s for _, s in each))
            for number, each in pairs.items()
        }
    )


def _direct_reads(process: ProcessRecord) -> Pairs:
    return [(each.samples, each.seconds) for each in process.direct_reads]


def _ceiling_rounds(process: ProcessRecord) -> Pairs:
    return [(each.samples, each.ceiling_seconds) for each in process.rounds]
