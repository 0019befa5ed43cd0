"""Runs one case: which requests its child gets, in which order, and what is recorded of them.

Must not know: pytest's hooks, how results are shown, any framework.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bench.card_monitor import CardMonitor, open_card
from bench.cases import Case
from bench.child import LOG_TAIL_BYTES, CaseError, Child
from bench.footprint import footprint_bytes
from bench.machine import swapped_bytes
from bench.memory_case import sample_memory
from bench.nvml import CardError
from bench.progress import Progress
from bench.protocol import Protocol
from bench.results import RunFile, new_case_record
from bench.timed_case import time_rounds
from bench.visible_devices import environment_of_case
from loaders.registry import LOADERS, missing_package
from loaders.source import ImageSource


class CaseRun:
    """The measurement of one case.

    Args:
        case: what to measure.
        protocol: how.
        source: the images, prepared and verified.
        results: where the record goes, whatever happens.
        progress: told what is being done.
        planned: whether the case is one of the run's. Other ones are probes for a breaking point.
    """

    def __init__(
        self,
        case: Case,
        *,
        protocol: Protocol,
        source: ImageSource,
        results: RunFile,
        progress: Progress,
        planned: bool = True,
    ) -> None:
        self.case = case
        self.protocol = protocol
        entry = LOADERS[case.loader]
        self.known_failure = entry.expected_failure(case.backend, case.num_workers)
        known = self.known_failure
        self.record = new_case_record(
            str(case),
            case.to_dict(),
            packages=entry.packages,
            known_failure={"reason": known.reason, "link": known.link} if known else None,
        )
        self.missing = missing_package((case.backend, *entry.packages))
        self._source = source
        self._results = results
        self.progress = progress
        self.planned = planned

    def measure(self, benchmark: Any) -> None:
        """Run the case under pytest-benchmark and record it.

        Args:
            benchmark: pytest-benchmark's fixture.

        Raises:
            CaseError: the case failed, or a package that it needs is missing; the record and
                `run.json` say how.
        """
        with self._recorded():
            if self.missing:
                raise CaseError("skipped", "MissingPackage", self.missing)
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
            # A probe for a breaking point has the batches of the sizes beside it.
            self.record["audit"] = audit = child.call("audit", whole_epoch=self.planned)
            benchmark.extra_info.update(identical=audit["identical"], digest=audit["digest"])
            if not audit["identical"]:
                raise CaseError("audit_failed", "AuditFailed", audit["first_difference"])

    def _memory(self, child: Child, benchmark: Any) -> None:
        """Sample the child's process tree while it trains."""
        died: list[CaseError] = []

        def target() -> None:
            try:
                sample_memory(self, child)
            except CaseError as error:  # raised below: for pytest-benchmark it is no error
                died.append(error)

        benchmark.pedantic(target, rounds=1)
        benchmark.extra_info.update(footprint_bytes=footprint_bytes(self.record["memory"]))
        if died:
            raise died[0]

    def import_framework(self, child: Child) -> None:
        """Let the child import the framework, and record what it is.

        Raises:
            CaseError: an accelerator was asked for, and the backend sees none.
        """
        description = child.call("import_framework")
        self._results.add_backend(self.case.backend, description)
        self.record["device"] = description["device"]
        if self.case.device == "gpu" and not self.on_accelerator:
            raise CaseError(
                "skipped",
                "NoAccelerator",
                f"{self.case.backend} sees no accelerator; install its GPU build and check "
                "CUDA_VISIBLE_DEVICES, or give `--device auto`",
            )

    @property
    def on_accelerator(self) -> bool:
        """Whether the backend uses one; known when the framework has been imported."""
        return self.record["device"] not in (None, "cpu")

    @contextmanager
    def _recorded(self) -> Iterator[None]:
        """Write the record of the case to `run.json`, however it ends."""
        start, swapped = time.monotonic(), swapped_bytes()
        self.progress.begin(self.case, planned=self.planned)
        try:
            yield
            self.record["outcome"] = "ok"
        except CaseError as error:
            self.record["outcome"] = error.outcome
            self.record["error"] = {
                "type": error.kind,
                "message": error.message,
                "traceback": error.traceback,
                "signal": error.signal_name,
                "log_tail": error.log_tail,
            }
            raise
        finally:
            self.record["duration_s"] = round(time.monotonic() - start, 3)
            if swapped is not None and (after := swapped_bytes()) is not None:
                self.record["swapped_bytes"] = after - swapped
            add = self._results.add_case if self.planned else self._results.add_probe
            add(self.record)
            self.progress.end(self.record["outcome"])

    @contextmanager
    def _card(self) -> Iterator[CardMonitor | None]:
        """Watch the card of a timed case; its record is kept where the case used one."""
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
                    self.record["card"] = {"reason": str(error)}
            return
        try:
            monitor = CardMonitor(card)
            try:
                yield monitor
            finally:
                watched = monitor.stop()
                if self.on_accelerator:
                    self.record["card"] = watched
        finally:
            card.close()

    @contextmanager
    def _child(self) -> Iterator[Child]:
        """Start the case's process; its log is kept only where the case fails."""
        log = self._log_file()
        settings = {
            "source": str(self._source.folder.resolve()),
            "samples": self.case.samples,
            "case": self.case.to_dict(),
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
    """Return what a failed test shows: the cause, the child's traceback and the end of its log."""
    parts = [str(error)]
    if error.traceback:
        parts += ["--- traceback of the child ---", error.traceback.rstrip()]
    if error.log_tail:
        parts += ["--- end of the child's log ---", error.log_tail.rstrip()]
    return "\n".join(parts)
