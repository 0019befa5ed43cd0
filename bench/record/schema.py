"""The form of `run.json`: every record in it, typed. Units are seconds and bytes.

A field with a default may be missing in a file: the run was cut short, or an older version wrote
it. `bench.record.reader` checks a file against these types once, so that nobody else has to.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from keras_loader_bench.bench.plan.case import CEILING, Case
from keras_loader_bench.bench.plan.protocol import Protocol
from keras_loader_bench.bench.plan.remedies import NONE
from keras_loader_bench.bench.record.audit_record import AuditRecord
from keras_loader_bench.bench.record.environment_record import Environment
from keras_loader_bench.bench.record.footprint import footprint_bytes
from keras_loader_bench.bench.record.input_record import InputRecord
from keras_loader_bench.bench.record.process_record import MemoryRecord, ProcessRecord, Round

SCHEMA = 11
"""The newest form, which this version writes; older ones are read, see `bench.record.upgrade`."""

IDENTICAL = "identical"
"""The verdict of an audit that found the batches of the reference."""

DIFFERENT = "different"
"""Verdict where batches differ and nothing says how: files of schema 1 know no more."""

INTERRUPTED = "interrupted"
"""Outcome of a case that has not ended."""

SKIPPED = "skipped"
"""Outcome of a case that could not be tried, because a package is missing. Not a failure."""

NOT_APPLICABLE = "NotApplicable"
"""Type of the error of a skipped case whose remedy is none for its input."""

DEATHS = ("refused", "over_budget")
"""Outcomes that prove that a budget was too small: a refused allocation, or the watchdog."""

UNEXPLAINED = ("crashed", "timeout")
"""Outcomes that may come of a refused allocation, or of anything else."""


@dataclass(frozen=True, kw_only=True)
class RecordedFailure:
    """Why a loader is expected to fail its audit. Texts come from anywhere."""

    reason: str
    link: str
    """Where it is explained."""


@dataclass(frozen=True, kw_only=True)
class ErrorRecord:
    """What ended a case."""

    type: str | None = None
    message: str | None = None
    process: int | None = None
    """The number of the process that it ended."""

    traceback: str | None = None
    signal: str | None = None
    """Name of the signal, such as `SIGKILL`."""

    log_tail: str | None = None


@dataclass(kw_only=True)
class CaseRecord:
    """One case."""

    id: str
    case: Case
    outcome: str
    """`ok`, `failed`, `crashed`, `timeout`, `skipped`, `interrupted`, `audit_failed`, ..."""

    input: InputRecord | None = None
    """What the user's input is that it measures."""

    packages: list[str] = field(default_factory=list)
    """What its loader needs beyond NumPy and Keras with its backend."""

    known_failure: RecordedFailure | None = None
    error: ErrorRecord | None = None
    processes: list[ProcessRecord] = field(default_factory=list)
    audit: AuditRecord | None = None
    duration_s: float = 0.0

    @property
    def may_fail_audit(self) -> bool:
        """Whether wrong batches are no failure: they are known, or those of a remedy on trial."""
        return self.known_failure is not None or self.case.remedy != NONE

    @property
    def failed_as_expected(self) -> bool:
        """Whether its batches are wrong, and that is no failure."""
        return self.outcome == "audit_failed" and self.may_fail_audit

    @property
    def ended_processes(self) -> list[ProcessRecord]:
        """Its processes that were measured to their end."""
        return [each for each in self.processes if each.outcome in ("ok", "audit_failed")]

    @property
    def device(self) -> str | None:
        """`cpu`, or the accelerator by its driver's name; `None`: nobody got that far."""
        return next((each.device for each in self.processes if each.device), None)

    @property
    def rounds(self) -> list[Round]:
        """The rounds of all its processes."""
        return [each for process in self.processes for each in process.rounds]

    @property
    def memory(self) -> MemoryRecord | None:
        """The readings of the process that ended badly, or of that with the median footprint."""
        found = [each for each in self.processes if each.memory]
        bad = [each for each in found if each.outcome != "ok"]
        ranked = sorted(found, key=lambda each: footprint_bytes(each.memory) or 0)
        chosen = bad[-1:] or ranked[(len(ranked) - 1) // 2 :]
        return chosen[0].memory if chosen else None

    @property
    def died_of_budget(self) -> bool:
        """Whether it died of its memory budget, which is a result and no failure."""
        return self.outcome in DEATHS and self.died_under_budget

    @property
    def died_under_budget(self) -> bool:
        """Whether it died while it had a memory budget, proven of it or not."""
        died = self.outcome in (*DEATHS, *UNEXPLAINED)
        return died and self.memory is not None and bool(self.memory.enforcement)


@dataclass(frozen=True, kw_only=True)
class ContainerRecord:
    """The encoded images of a source in one container."""

    kind: str
    """A key of `loaders.encoded.containers.container.CONTAINERS`."""

    write_s: float
    """Seconds that writing it took, when that was done."""

    disk_bytes: int


@dataclass(frozen=True, kw_only=True)
class SourceRecord:
    """What a source was; not where it lay."""

    name: str
    num_samples: int
    split: str | None = None
    edition: str | None = None
    images_sha256: str | None = None
    labels_sha256: str | None = None
    bytes_per_sample: float | None = None
    """Mean length of an encoded image; `None`: they are not encoded."""

    image_quality: int = 0
    """See `Case.image_quality`."""

    containers: list[ContainerRecord] = field(default_factory=list)
    """In which loaders of this run read encoded images."""


@dataclass(kw_only=True)
class Run:
    """The content of `run.json`."""

    schema: int = SCHEMA
    status: str
    """`running`, `complete` or `interrupted`."""

    environment: Environment
    protocol: Protocol
    sources: list[SourceRecord]
    cases: list[CaseRecord]
    probes: list[CaseRecord]
    """Cases that were no part of the plan: they looked for a breaking point."""

    method: int = 0
    """See `bench.plan.protocol.METHOD`."""

    started_utc: str | None = None
    """ISO 8601, which sorts by time."""

    finished_utc: str | None = None
    resumed_utc: list[str] = field(default_factory=list)
    planned_cases: int = 0
    plan: list[Case] = field(default_factory=list)
    """The cases that the run is to have."""

    loaders: list[str] = field(default_factory=list)
    """All there were, measured or not: a plot gives each the same colour in every run."""

    own_loaders: list[str] = field(default_factory=list)
    """Those of them that this suite wrote to be fast, and so has an interest in."""

    def lacks_processes(self, result: CaseRecord) -> bool:
        """Return whether a case has processes still to come: the run ended before the last one.

        Wrong batches that are no failure end none of them.
        """
        wanted = self.protocol.processes_of(result.case.bench)
        cut_short = result.failed_as_expected and len(result.ended_processes) < wanted
        return result.outcome == INTERRUPTED or cut_short

    @property
    def loader_cases(self) -> list[CaseRecord]:
        """The cases of loaders: all but those of the ceiling."""
        return [each for each in self.cases if each.case.loader != CEILING]

    @property
    def compared_cases(self) -> list[CaseRecord]:
        """The cases that are followed from run to run: remedies are tried, and not kept."""
        return [each for each in self.loader_cases if each.case.remedy == NONE]

    @property
    def ceiling_cases(self) -> list[CaseRecord]:
        """The ceiling measured as if it were a loader; see `bench.report.figures.resolution`."""
        return [each for each in self.cases if each.case.loader == CEILING]
