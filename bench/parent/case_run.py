"""Runs the processes of one case: sends requests to its child and records the answers."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from keras_loader_bench.bench.parent.case_error import CaseError
from keras_loader_bench.bench.parent.case_processes import case_processes
from keras_loader_bench.bench.parent.child_settings import (
    child_settings,
    known_input,
    known_promise,
    not_tried,
)
from keras_loader_bench.bench.parent.measurement import Measurement
from keras_loader_bench.bench.parent.memory_case import sample_memory
from keras_loader_bench.bench.parent.process import Asked
from keras_loader_bench.bench.parent.recorded_clock import RecordedClock
from keras_loader_bench.bench.parent.timed_case import time_rounds
from keras_loader_bench.bench.plan.case import CEILING
from keras_loader_bench.bench.plan.remedies import NONE
from keras_loader_bench.bench.record.audit_record import AuditRecord, PixelRecord
from keras_loader_bench.bench.record.drafts import WriteError
from keras_loader_bench.bench.record.footprint import footprint_bytes
from keras_loader_bench.bench.record.process_record import CardRecord, ProcessRecord
from keras_loader_bench.bench.record.schema import INTERRUPTED, NOT_APPLICABLE, ErrorRecord
from keras_loader_bench.bench.sensors.card_monitor import CardMonitor, open_card
from keras_loader_bench.bench.sensors.machine import swapped_bytes
from keras_loader_bench.bench.sensors.nvml import CardError
from keras_loader_bench.bench.statistics import ratios
from keras_loader_bench.loaders.audit.batches.verdict import PassResult
from keras_loader_bench.loaders.system.text import message_of, shown, traceback_of

LOG_TAIL_BYTES = 4096


class CaseRun(Measurement):
    """The measurement of one case, from its first process to its record."""

    error: CaseError | None = None
    """What ended it."""

    @property
    def wanted(self) -> int:
        """In how many processes it is measured."""
        if not self.planned or self.case.missing or self.case.unsupported:
            return 1
        return self.protocol.processes_of(self.case.bench)

    def measure_process(self, number: int) -> None:
        """Measure the case in one more process and save its record.

        Does nothing if a process of it has failed, or if that process is on record already. Batches
        that are known to be wrong are no reason: how fast they come is measured all the same.

        Args:
            number: of the pass, from 1.
        """
        if self._is_over or number <= len(self.record.processes):
            return
        if number == 1 and (reason := not_tried(self._results.run, self.case)):
            self._fail(CaseError("skipped", NOT_APPLICABLE, reason))
            self._save()
            self.progress.leave_out(self.case, self.wanted)
            return
        self.process = ProcessRecord(number=number, outcome=INTERRUPTED)
        with self._recorded():
            if reason := self.case.missing:
                raise CaseError("skipped", "MissingPackage", reason)
            if reason := self.case.unsupported:
                raise CaseError("skipped", "Unsupported", reason)
            self.record.processes.append(self.process)
            self._measure()

    @property
    def _is_over(self) -> bool:
        """Whether it has failed, so that no other process of it is started."""
        return self.error is not None and not self.record.failed_as_expected

    def report(self, benchmark: Any, clock: RecordedClock) -> None:
        """Give pytest-benchmark what was measured.

        Args:
            benchmark: pytest-benchmark's fixture.
            clock: what it takes for the time.
        """
        if self.case.bench == "memory":
            seconds = [each.duration_s for each in self.record.processes]
            benchmark.extra_info.update(footprint_bytes=footprint_bytes(self.record.memory))
        else:
            rounds = [each for each in self.record.rounds if each.samples and each.seconds]
            seconds = [each.seconds for each in rounds if each.seconds]
            if rounds:
                samples, timed, ceilings = zip(*(each.timed for each in rounds), strict=True)
                benchmark.extra_info.update(
                    samples_per_s=median(ratios(samples, timed)),
                    accelerator_utilization=median(ratios(ceilings, timed)),
                )
        if audit := self.record.audit:
            benchmark.extra_info.update(identical=audit.identical, digest=audit.digest)
        if seconds:
            left = iter(seconds)
            benchmark.pedantic(lambda: clock.advance(next(left)), rounds=len(seconds))

    def _measure(self) -> None:
        # The card first: what it finds there is not the case's.
        with self._card() as card, self._child() as child:
            if self.case.bench == "memory":
                sample_memory(self, child)
            else:
                time_rounds(self, child, card)
            # The ceiling repeats one batch: there is no order to compare it with.
            if self.record.audit is None and self.case.loader != CEILING:
                self._audit(child)

    def _audit(self, child: Asked) -> None:
        self.record.audit = audit = self._known_audit() or self._new_audit(child)
        if not audit.identical:
            raise CaseError("audit_failed", "AuditFailed", audit.first_difference or "")

    def _known_audit(self) -> AuditRecord | None:
        """Return the audit of another case of the run, if this one would repeat it."""
        others = (each for each in self._results.run.cases if each.audit and self.planned)
        same = (each.audit for each in others if each.case.audited == self.case.audited)
        return next(same, None)

    def _new_audit(self, child: Asked) -> AuditRecord:
        self.progress.step("audit")
        # A probe for a breaking point has the same batches as the planned sizes.
        known: dict[str, Any] = {"whole_epoch": self.planned}
        if self.case.remedy != NONE:
            known["promise"] = known_promise(self._results.run, self.case)
        found = child.call("audit", **known)
        passes = [PassResult(**each) for each in found.pop("passes")]
        if (pixels := found.pop("pixels", None)) is not None:
            found["pixels"] = PixelRecord(**pixels)
        return AuditRecord(**found, passes=passes, case=str(self.case))

    @contextmanager
    def _recorded(self) -> Iterator[None]:
        """Write the record of the case to `run.json`, however its process ends."""
        start, swapped = time.monotonic(), swapped_bytes()
        number = self.process.number
        self.progress.begin(self.case, number, planned=self.planned)
        try:
            yield
            self.process.outcome = "ok"
            audit = self.record.audit
            if number >= self.wanted and (audit is None or audit.identical):
                self.record.outcome = "ok"
        except CaseError as error:
            self._fail(error)
        except Exception as error:  # of this suite: the other cases are measured all the same
            lines = traceback_of(error, error.__traceback__)
            kind = type(error).__name__
            self._fail(CaseError("failed", kind, message_of(error), traceback=lines))
        finally:
            self.process.duration_s = round(time.monotonic() - start, 3)
            self.record.duration_s = round(self.record.duration_s + self.process.duration_s, 3)
            if swapped is not None and (after := swapped_bytes()) is not None:
                self.process.swapped_bytes = after - swapped
            self._save()
            self.progress.end(self.process.outcome)
            if self._is_over and number < self.wanted:
                self.progress.leave_out(self.case, self.wanted - number)

    def _save(self) -> None:
        """Write the record; a run that cannot keep its figures ends."""
        try:
            self._results.save(self.record, planned=self.planned)
        except WriteError as error:
            pytest.exit(str(error))

    def _fail(self, error: CaseError) -> None:
        self.error = error
        self.process.outcome = self.record.outcome = error.outcome
        self.record.error = ErrorRecord(
            type=error.kind,
            message=error.message,
            process=self.process.number if self.wanted > 1 else None,
            traceback=error.traceback,
            signal=error.signal_name,
            log_tail=error.log_tail,
        )

    @contextmanager
    def _card(self) -> Iterator[CardMonitor | None]:
        """Watch the GPU of a timed case; the record is kept only if the case used it."""
        if self.case.bench == "memory" or self.case.device == "cpu":
            yield None
            return
        try:
            card = open_card(os.environ)
        except CardError as error:
            try:
                yield None
            finally:
                if self.on_accelerator:
                    self.process.card = CardRecord(reason=str(error))
            return
        try:
            # Ranks that train together have a card each; others share this one.
            shared = 1 if self.case.trains_together else self.case.ranks
            monitor = CardMonitor(card, own=shared)
            try:
                yield monitor
            finally:
                watched = monitor.stop(self.process.rounds)
                if self.on_accelerator:
                    self.process.card = watched
        finally:
            card.close()

    @contextmanager
    def _child(self) -> Iterator[Asked]:
        """Start the process of the case; its log is kept only if the case fails."""
        log = self._log_file()
        if self.case.is_input and self.record.input is None:
            self.record.input = known_input(self._results.run, self.case)
        settings = child_settings(self.record, self._source, seed=self.protocol.seed)
        keep = True
        try:
            with case_processes(
                self.case, self.protocol, settings, log=log, start=self._start
            ) as child:
                try:
                    yield child
                    keep = False
                except CaseError as error:
                    error.log_tail = shown(child.log(LOG_TAIL_BYTES), LOG_TAIL_BYTES, lines=True)
                    keep = error.outcome != "skipped"
                    raise
        finally:
            if not keep:
                for each in log.parent.glob(f"{log.name}*"):  # of other ranks too
                    each.unlink()
                with suppress(OSError):  # another case has left its log there
                    log.parent.rmdir()

    def _log_file(self) -> Path:
        folder = self._results.path.parent / "logs"
        folder.mkdir(exist_ok=True)
        return folder / f"{self.case}.log"
