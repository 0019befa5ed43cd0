"""Runs one case: sends requests to its child and records the answers."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from keras_loader_bench.bench.parent.measurement import Measurement
from keras_loader_bench.bench.parent.memory_case import sample_memory
from keras_loader_bench.bench.parent.process import LOG_TAIL_BYTES, CaseError, Child
from keras_loader_bench.bench.parent.timed_case import time_rounds
from keras_loader_bench.bench.record.footprint import footprint_bytes
from keras_loader_bench.bench.record.process_record import CardRecord
from keras_loader_bench.bench.record.schema import AuditRecord, ErrorRecord
from keras_loader_bench.bench.sensors.card_monitor import CardMonitor, open_card
from keras_loader_bench.bench.sensors.machine import swapped_bytes
from keras_loader_bench.bench.sensors.nvml import CardError
from keras_loader_bench.bench.sensors.visible_devices import environment_of_case
from keras_loader_bench.loaders.audit.verdict import PassResult


class CaseRun(Measurement):
    """The measurement of one case, from its first process to its record."""

    def measure(self, benchmark: Any) -> None:
        """Run the case under pytest-benchmark and record it.

        Args:
            benchmark: pytest-benchmark's fixture.

        Raises:
            CaseError: the case failed, or a package that it needs is missing; the record and
                `run.json` say how.
        """
        with self._recorded():
            if reason := self.case.missing:
                raise CaseError("skipped", "MissingPackage", reason)
            if reason := self.case.unsupported:
                raise CaseError("skipped", "Unsupported", reason)
            self._measure(benchmark)

    def _measure(self, benchmark: Any) -> None:
        # The card first: what it finds there is not the case's.
        with self._card() as card, self._child() as child:
            if self.case.bench == "memory":
                self._memory(child, benchmark)
            else:
                time_rounds(self, child, card, benchmark)
            self.progress.step("audit")
            # A probe for a breaking point has the same batches as the planned sizes.
            found = child.call("audit", whole_epoch=self.planned)
            passes = [PassResult(**each) for each in found.pop("passes")]
            self.record.audit = audit = AuditRecord(**found, passes=passes)
            benchmark.extra_info.update(identical=audit.identical, digest=audit.digest)
            if not audit.identical:
                raise CaseError("audit_failed", "AuditFailed", audit.first_difference or "")

    def _memory(self, child: Child, benchmark: Any) -> None:
        """Sample the child's process tree while it trains."""
        died: list[CaseError] = []

        def target() -> None:
            try:
                sample_memory(self, child)
            except CaseError as error:  # raised below: for pytest-benchmark it is no error
                died.append(error)

        benchmark.pedantic(target, rounds=1)
        benchmark.extra_info.update(footprint_bytes=footprint_bytes(self.record.memory))
        if died:
            raise died[0]

    @contextmanager
    def _recorded(self) -> Iterator[None]:
        """Write the record of the case to `run.json`, however it ends."""
        start, swapped = time.monotonic(), swapped_bytes()
        self.progress.begin(self.case, planned=self.planned)
        try:
            yield
            self.record.outcome = "ok"
        except CaseError as error:
            self.record.outcome = error.outcome
            self.record.error = ErrorRecord(
                type=error.kind,
                message=error.message,
                traceback=error.traceback,
                signal=error.signal_name,
                log_tail=error.log_tail,
            )
            raise
        finally:
            self.record.duration_s = round(time.monotonic() - start, 3)
            if swapped is not None and (after := swapped_bytes()) is not None:
                self.process.swapped_bytes = after - swapped
            add = self._results.add_case if self.planned else self._results.add_probe
            add(self.record)
            self.progress.end(self.record.outcome)

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
            monitor = CardMonitor(card)
            try:
                yield monitor
            finally:
                watched = monitor.stop()
                if self.on_accelerator:
                    self.process.card = watched
        finally:
            card.close()

    @contextmanager
    def _child(self) -> Iterator[Child]:
        """Start the process of the case; its log is kept only if the case fails."""
        log = self._log_file()
        settings = {
            "source": str(self._source.folder.resolve()),
            "samples": self.case.samples,
            "case": asdict(self.case),
            "seed": self.protocol.seed,
        }
        keep = True
        try:
            with Child(
                settings,
                backend=self.case.backend,
                log=log,
                timeout_s=self.protocol.case_timeout_s,
                environment=environment_of_case(self.case.device, os.environ),
            ) as child:
                try:
                    yield child
                    keep = False
                except CaseError as error:
                    error.log_tail = child.log(LOG_TAIL_BYTES)
                    keep = error.outcome != "skipped"
                    raise
        finally:
            if not keep:
                log.unlink()
                with suppress(OSError):  # another case has left its log there
                    log.parent.rmdir()

    def _log_file(self) -> Path:
        folder = self._results.path.parent / "logs"
        folder.mkdir(exist_ok=True)
        return folder / f"{self.case}.log"


def describe_failure(error: CaseError) -> str:
    """Return the message of a failed test: cause, traceback and end of the log of the child."""
    parts = [str(error)]
    if error.traceback:
        parts += ["--- traceback of the child ---", error.traceback.rstrip()]
    if error.log_tail:
        parts += ["--- end of the child's log ---", error.log_tail.rstrip()]
    return "\n".join(parts)
