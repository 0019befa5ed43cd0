"""Runs the cases of one run as tests: its sources, progress and files."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, TextIO

import pytest

from keras_loader_bench.bench.parent.breaking_point import Trial, bracket_of, next_size
from keras_loader_bench.bench.parent.case_error import describe_failure
from keras_loader_bench.bench.parent.case_run import CaseRun
from keras_loader_bench.bench.parent.guardians import Guardians
from keras_loader_bench.bench.parent.progress import Progress
from keras_loader_bench.bench.parent.recorded_clock import CLOCK
from keras_loader_bench.bench.parent.resume import check_same, kept_records
from keras_loader_bench.bench.parent.settings import Settings
from keras_loader_bench.bench.plan.case import Case, loaders_of
from keras_loader_bench.bench.plan.passes import passes
from keras_loader_bench.bench.plan.protocol import Protocol
from keras_loader_bench.bench.plan.remedies import NONE
from keras_loader_bench.bench.record.schema import SKIPPED, CaseRecord, ContainerRecord
from keras_loader_bench.bench.record.writer import RunFile
from keras_loader_bench.bench.sensors.environment import describe
from keras_loader_bench.loaders.encoded.containers.in_process import written_containers
from keras_loader_bench.loaders.encoded.encoded_source import EncodedSource
from keras_loader_bench.loaders.encoded.known_images import StoredSource, is_encoded, prepare_images
from keras_loader_bench.loaders.encoded.photographs import QUALITY
from keras_loader_bench.loaders.encoded.registry import ImageLoaderEntry
from keras_loader_bench.loaders.launchers import launcher
from keras_loader_bench.loaders.sources.known_sources import prepare_source


class Session:
    """One run of the suite: its sources, its progress and its files.

    Args:
        settings: the options.
        cases: what will be measured.
        stream: for the progress.

    Raises:
        ValueError: the run goes on, and machine, software or source are not what they were; or no
            ranks can be started.
    """

    def __init__(self, settings: Settings, cases: list[Case], stream: TextIO) -> None:
        self.settings = settings
        kept = kept_records(settings.resumed)
        counts = _processes(settings.protocol, cases, kept)
        self.progress = Progress(counts, settings.protocol, stream=stream)
        # One for all sizes: a smaller source is the beginning of a larger one.
        images = _largest(settings, cases)
        self.sources = self._prepare(images, cases) if images else {}
        environment = describe()
        if settings.resumed is None:
            self.file = RunFile(
                settings.folder,
                environment=environment,
                protocol=settings.protocol,
                plan=cases,
                loaders=loaders_of(max(case.image_size for case in cases)),
            )
        else:
            check_same(settings.resumed, environment, self.sources)
            self.file = RunFile.reopen(settings.folder, settings.resumed, keep=kept)
        if not self.file.run.sources:
            for quality, source in self.sources.items():
                of_source = [case for case in cases if case.image_quality == quality]
                containers = self._write_containers(source, of_source)
                self.file.add_source(source, containers, image_quality=quality)
        self._started = ExitStack()
        several = any(case.ranks > 1 for case in cases)
        name = settings.protocol.launcher if several or settings.own_rank else "local"
        started = self._started.enter_context(launcher(name, settings.own_rank))
        self.guardians = Guardians(started)
        self._runs = {case: self._case_run(case) for case in cases}
        self._measured = False

    def close(self, status: str) -> None:
        """End the run: `complete` or `interrupted`."""
        self.guardians.close()
        self._started.close()
        self.file.finish(status)

    def _prepare(self, samples: int, cases: list[Case]) -> dict[int, StoredSource]:
        """Return the source of each image quality; 0 is that of other sources."""
        self.progress.note(f"preparing {samples:,} samples")
        name, seed = self.settings.source, self.settings.protocol.seed
        if not is_encoded(name):
            data_dir = self.settings.data_dir
            return {0: prepare_source(name, data_dir=data_dir, num_samples=samples, seed=seed)}
        planned = self.settings.resumed.plan if self.settings.resumed else cases
        return {
            quality: prepare_images(
                name,
                image_size=max(case.stored_size for case in planned),
                num_samples=samples,
                seed=seed,
                quality=quality or QUALITY,
            )
            for quality in sorted({case.image_quality for case in planned})
        }

    def _write_containers(self, source: StoredSource, cases: list[Case]) -> list[ContainerRecord]:
        """Write what the loaders of encoded images read, in a process that may import for it."""
        entries = {case.entry for case in cases if not case.missing}
        kinds = sorted(
            {e.container for e in entries if isinstance(e, ImageLoaderEntry) and e.container}
        )
        if not isinstance(source, EncodedSource) or not kinds:
            return []
        self.progress.note(f"preparing {', '.join(kinds)}")
        return [ContainerRecord(**each) for each in written_containers(source, kinds)]

    def measure(self, case: Case, benchmark: Any) -> None:
        """Report one case; a case that could not be measured is a failed test.

        Unless a package is missing, which skips it, or its batches are known to be wrong. The first
        test measures all cases: the processes of each are spread over the whole run.
        """
        self._measure_all()
        self._runs[case].report(benchmark, CLOCK)
        self._judge(self._runs[case])

    def _measure_all(self) -> None:
        if self._measured:
            return
        self._measured = True
        processes_of = self.settings.protocol.processes_of
        seed = self.settings.protocol.seed
        for case in self._runs:
            if case.is_input and case.bench == "feed" and case.remedy == NONE:
                self._runs[case].measure_process(1)  # it finds out what the others must know
        for number, case in passes(list(self._runs), processes_of=processes_of, seed=seed):
            self._runs[case].measure_process(number)
        self.guardians.close()  # those that have imported a framework take memory

    def search(self, cases: list[Case], benchmark: Any) -> None:
        """Search for the number of samples at which a loader exceeds the memory budget.

        Args:
            cases: memory cases that differ in their samples alone, measured before.
            benchmark: pytest-benchmark's fixture.
        """
        budget_bytes = self.settings.protocol.memory_budget_bytes
        assert budget_bytes is not None
        ids = {str(case) for case in cases}
        of_cases = [r for r in self.file.run.cases if r.id in ids]
        found = [Trial.from_record(r) for r in [*of_cases, *self._probes_beside(cases[0])]]
        trials = [trial for trial in found if trial]

        def probe() -> None:
            least = cases[0].batch_size
            while size := next_size(trials, budget_bytes=budget_bytes, least=least):
                case_run = self._case_run(replace(cases[0], samples=size), planned=False)
                case_run.measure_process(1)
                trial = Trial.from_record(case_run.record)
                if trial is None:
                    self._judge(case_run)
                    raise AssertionError(f"The probe ended as `{case_run.record.outcome}`.")
                trials.append(trial)

        benchmark.pedantic(probe, rounds=1)
        survived, died = bracket_of(trials)
        benchmark.extra_info.update(survived_samples=survived, died_samples=died)

    @property
    def all_skipped(self) -> bool:
        """Whether there were cases and none of them was measured."""
        cases = self.file.run.cases
        return bool(cases) and all(case.outcome == SKIPPED for case in cases)

    def _probes_beside(self, case: Case) -> list[CaseRecord]:
        """Return the probes of an earlier part of the run that differ from a case in samples."""
        return [
            probe
            for probe in self.file.run.probes
            if str(replace(case, samples=probe.case.samples)) == probe.id
        ]

    def _case_run(self, case: Case, *, planned: bool = True) -> CaseRun:
        known = (each for each in self.file.run.cases if planned and each.id == str(case))
        # Memory begins with a new interpreter.
        unforked = case.bench == "memory" or self.settings.protocol.new_interpreters
        return CaseRun(
            case,
            protocol=self.settings.protocol,
            source=self.sources.get(case.image_quality),
            results=self.file,
            progress=self.progress,
            planned=planned,
            record=next(known, None),
            start=self.guardians.interpreter if unforked else self.guardians.fork,
        )

    def _judge(self, case_run: CaseRun) -> None:
        """Let the test of a case end as the case did."""
        error, record = case_run.error, case_run.record
        if record.failed_as_expected:  # in an earlier part of a resumed run, maybe
            known, found = case_run.known_failure, record.error
            why = f". Known: {known.reason} See {known.link}" if known else ""
            pytest.xfail(f"{found.message if found else ''}{why}")
        if error is None or record.died_of_budget:
            return
        if error.outcome == SKIPPED:
            pytest.skip(error.message)
        if case_run.case.remedy != NONE:
            pytest.skip(f"This remedy does not work: {error.message}")
        pytest.fail(describe_failure(error, record.error), pytrace=False)


def _processes(protocol: Protocol, cases: list[Case], kept: list[CaseRecord]) -> Counter[str]:
    """Return how many processes of each benchmark are left, beside those on record."""
    ended = {each.id: len(each.processes) for each in kept}
    counts: Counter[str] = Counter()
    for case in cases:
        skipped = case.missing or case.unsupported
        wanted = 1 if skipped else protocol.processes_of(case.bench)
        counts[case.bench] += wanted - ended.get(str(case), 0)
    return counts


def _largest(settings: Settings, cases: list[Case]) -> int:
    """Return how many samples the source needs; a resumed run needs the same as before."""
    before = settings.resumed
    planned = cases if before is None else before.plan
    known = [source.num_samples for source in before.sources] if before else []
    return max(known or (case.samples for case in planned))
