"""Runs one case: which requests its child gets, in which order, and what is recorded of them.

Must not know: pytest's hooks, how results are shown, any framework.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from typing import Any

from bench.cases import Case, Protocol
from bench.child import LOG_TAIL_BYTES, CaseError, Child
from bench.footprint import footprint_bytes
from bench.memory_case import sample_memory
from bench.progress import Progress
from bench.results import RunFile, new_case_record
from loaders.registry import LOADERS, missing_package
from loaders.source import ImageSource

FIRST_BATCH_REPEATS = 7


class CaseRun:
    """The measurement of one case.

    Args:
        case: what to measure.
        protocol: how.
        source: the images, prepared and verified.
        results: where the record goes, whatever happens.
        progress: told what is being done.
        planned: whether the case is one of the run's, and not a probe for a breaking point.
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
            {"reason": known.reason, "link": known.link} if known else None,
        )
        self.missing = missing_package((case.backend, *entry.packages))
        self._source = source
        self._results = results
        self.progress = progress
        self._planned = planned

    def measure(self, benchmark: Any) -> None:
        """Run the case under pytest-benchmark and record it.

        Args:
            benchmark: pytest-benchmark's fixture.

        Raises:
            CaseError: the case failed, or a package that it needs is missing; the record and
                `run.json` say how.
        """
        steps = self._memory if self.case.bench == "memory" else self._timed
        with self._recorded():
            if self.missing:
                raise CaseError("skipped", "MissingPackage", self.missing)
            self._measure(steps, benchmark)

    def _measure(self, steps: Callable[[Child, Any], None], benchmark: Any) -> None:
        with self._child() as child:
            steps(child, benchmark)
            self.progress.step("audit")
            self.record["audit"] = audit = child.call("audit")
            benchmark.extra_info.update(identical=audit["identical"], digest=audit["digest"])
            if not audit["identical"]:
                raise CaseError("audit_failed", "AuditFailed", audit["first_difference"])

    def _timed(self, child: Child, benchmark: Any) -> None:
        """Measure rounds, each after a ceiling round, and then the time to the first batch."""
        self.progress.step("start")
        self.import_framework(child)
        for request in ("make_model", "make_ceiling", "make_loader"):
            child.call(request)
        self.progress.step("calibrate")
        samples = child.call("calibrate", seconds=self.protocol.round_seconds)
        rounds: list[dict[str, Any]] = self.record["rounds"]
        measured: dict[str, Any] = {}

        def setup() -> None:
            epoch = len(rounds) + 1
            child.call("prepare_round", loader="ceiling", epoch=epoch, samples=samples)
            ceiling = child.call("round")["seconds"]
            measured.update(
                epoch=epoch,
                ceiling_seconds=ceiling,
                ceiling_cpu_seconds=child.call("cpu_of_round"),
            )
            child.call("prepare_round", loader="loader", epoch=epoch, samples=samples)

        def target() -> None:
            start = time.perf_counter()
            measured.update(child.call("round"))
            overhead = time.perf_counter() - start - measured["seconds"]
            measured["parent_overhead_seconds"] = overhead

        def teardown() -> None:
            rounds.append({**measured, "cpu_seconds": child.call("cpu_of_round")})
            rate = measured["samples"] / measured["seconds"]
            self.progress.round(len(rounds), self.protocol.rounds, rate)

        benchmark.pedantic(target, setup=setup, teardown=teardown, rounds=self.protocol.rounds)
        if self.case.bench == "feed":  # the CNN's first step would hide the batch
            self.record["time_to_first_batch_s"] = [
                child.call("time_to_first_batch", epoch=len(rounds) + 1 + repeat, samples=samples)
                for repeat in range(FIRST_BATCH_REPEATS)
            ]
        benchmark.extra_info.update(
            samples_per_s=median(r["samples"] / r["seconds"] for r in rounds),
            accelerator_utilization=median(r["ceiling_seconds"] / r["seconds"] for r in rounds),
        )

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
        """Let the child import the framework, and record what it is."""
        self._results.add_backend(self.case.backend, child.call("import_framework"))

    @contextmanager
    def _recorded(self) -> Iterator[None]:
        """Write the record of the case to `run.json`, however it ends."""
        start = time.monotonic()
        self.progress.begin(self.case, planned=self._planned)
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
            add = self._results.add_case if self._planned else self._results.add_probe
            add(self.record)
            self.progress.end(self.record["outcome"])

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
        with Child(
            settings, backend=self.case.backend, log=log, timeout_s=self.protocol.case_timeout_s
        ) as child:
            try:
                yield child
            except CaseError as error:
                error.log_tail = child.log(LOG_TAIL_BYTES)
                raise
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
