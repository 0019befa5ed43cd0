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
from bench.child import CaseError, Child
from bench.memory import MemorySampler
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
    """

    def __init__(
        self,
        case: Case,
        *,
        protocol: Protocol,
        source: ImageSource,
        results: RunFile,
        progress: Progress,
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
        self._progress = progress

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
            self._progress.step("audit")
            self.record["audit"] = audit = child.call("audit")
            benchmark.extra_info.update(identical=audit["identical"], digest=audit["digest"])
            if not audit["identical"]:
                raise CaseError("audit_failed", "AuditFailed", audit["first_difference"])

    def _timed(self, child: Child, benchmark: Any) -> None:
        """Measure rounds, each after a ceiling round, and then the time to the first batch."""
        self._progress.step("start")
        self._import_framework(child)
        for request in ("make_model", "make_ceiling", "make_loader"):
            child.call(request)
        self._progress.step("calibrate")
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
            self._progress.round(len(rounds), self.protocol.rounds, rate)

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
        """Sample the child's process tree while it trains for whole epochs."""
        benchmark.pedantic(self._sampled_epochs, args=(child,), rounds=1)
        memory = self.record["memory"]
        baseline = memory["baseline"]["anon"] + memory["baseline"]["shmem"]
        peak = max(
            reading["anon"] + reading["shmem"]
            for reading in memory["readings"]
            if reading["phase"] == "loader" or reading["phase"].startswith("epoch")
        )
        benchmark.extra_info.update(footprint_bytes=peak - baseline)

    def _sampled_epochs(self, child: Child) -> None:
        with MemorySampler(child.pid) as sampler:
            memory: dict[str, Any] = {
                "metric": "pss",
                "baseline": None,
                "readings": sampler.readings,
            }
            self.record["memory"] = memory
            self._progress.step("start")
            sampler.phase("import")
            self._import_framework(child)
            for phase, request in (("model", "make_model"), ("ceiling", "make_ceiling")):
                sampler.phase(phase)
                child.call(request)
            # The rows of an epoch are what every loader is given: they belong to the baseline.
            self._epoch(child, "ceiling", 0)
            sampler.phase("baseline")
            split = sampler.read()
            memory["baseline"] = {"anon": split.anon, "file": split.file, "shmem": split.shmem}
            sampler.phase("loader")
            child.call("make_loader")
            sampler.read()
            epochs = self.protocol.memory_epochs(self.case.samples)
            for epoch in range(1, epochs + 1):
                sampler.phase(f"epoch {epoch}")
                rate = self._epoch(child, "loader", epoch)
                sampler.read()
                self._progress.round(epoch, epochs, rate)
            sampler.phase("closed")
            child.call("close_loader")
            sampler.read()

    def _import_framework(self, child: Child) -> None:
        self._results.add_backend(self.case.backend, child.call("import_framework"))

    def _epoch(self, child: Child, loader: str, epoch: int) -> float:
        """Fit a whole epoch; return samples per second, good enough for the progress."""
        child.call("prepare_round", loader=loader, epoch=epoch, samples=self.case.samples)
        reply = child.call("round")
        rate: float = reply["samples"] / reply["seconds"]
        return rate

    @contextmanager
    def _recorded(self) -> Iterator[None]:
        """Write the record of the case to `run.json`, however it ends."""
        start = time.monotonic()
        self._progress.begin(self.case)
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
            self._results.add_case(self.record)
            self._progress.end(self.record["outcome"])

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
                error.log_tail = child.log_tail()
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
