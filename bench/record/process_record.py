"""What one process of a case measured, as it stands in `run.json`. Units are seconds and bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass(frozen=True, kw_only=True)
class Round:
    """One timed round of a loader and the round of the ceiling that it is paired with."""

    epoch: int | None = None
    """Number of the order that its rows had."""

    epochs: int | None = None
    """Of the one `fit` that the round was."""

    batches: int | None = None
    """Of each epoch of the round, for a user's input."""

    samples: int | None = None
    """By each of the two; of a user's input without the first batch of each `fit`, as seconds."""

    round_samples: int | None = None
    """Of a user's input: those of all batches of the round, which its CPU seconds are for."""

    seconds: float | None = None
    ceiling_seconds: float | None = None
    steady_seconds: float | None = None
    """Of all steps but the first: in emulated cases and in training for a part of an epoch."""

    steady_samples: int | None = None
    """Of these steps in training; in an emulated case they follow from `samples`."""

    ceiling_steady_seconds: float | None = None
    cpu_seconds: float | None = None
    """User and system seconds of the process tree."""

    ceiling_cpu_seconds: float | None = None
    resident_before: float | None = None
    """Share of the source's pages that were in memory before the round, from 0 to 1."""

    read_bytes: int | None = None
    """What the process tree read from storage during the round."""

    parent_overhead_seconds: float | None = None
    """What asking the child for the round took beyond the round."""

    machine_busy_cpu_seconds: float | None = None
    """CPU seconds that the whole machine used during the round."""

    machine_stolen_cpu_seconds: float | None = None
    """CPU seconds that a hypervisor gave to others during the round."""

    ceiling_start: float | None = None
    """When the ceiling's round began, on the clock of the card's readings."""

    ceiling_end: float | None = None
    card_start: float | None = None
    card_end: float | None = None
    energy_j: float | None = None
    energy_source: str | None = None
    """`counter` or `power`; see `bench.sensors.card_monitor`."""

    @property
    def timed(self) -> tuple[int | None, float | None, float | None]:
        """Samples, seconds and those of the ceiling, without the start if that does not count."""
        if self.steady_samples is None:
            return self.samples, self.seconds, self.ceiling_seconds
        return self.steady_samples, self.steady_seconds, self.ceiling_steady_seconds


@dataclass(frozen=True, kw_only=True)
class DirectRead:
    """A reading of a user's input without Keras, from its second batch on."""

    samples: int
    seconds: float


class MemoryReading(NamedTuple):
    """Memory of the process tree at one moment, in bytes.

    There are many readings, so each is a plain array in `run.json`, without names.
    """

    anon: int
    """Private memory."""

    file: int
    """Mapped files: page cache."""

    shmem: int
    """Shared memory that is mapped."""

    dev_shm: int = 0
    """Objects in /dev/shm that the tree made and does not map."""

    t: float | None = None
    """Seconds since the process began."""

    phase: str = ""
    look: bool = False
    """Whether it tells of a peak before it; see `bench.sensors.memory_sampler`."""

    @property
    def counted_bytes(self) -> int:
        """What a machine can run out of: private and shared memory."""
        return self.anon + self.shmem + self.dev_shm


@dataclass(frozen=True, kw_only=True)
class Phase:
    """Part of a memory case."""

    name: str
    t: float
    """Seconds since the process began."""


@dataclass(frozen=True, kw_only=True)
class ProcessPeak:
    """Resident memory of one process of the tree since the baseline, in bytes."""

    sampled_peak_rss: int
    """The largest value that was read."""

    baseline_rss: int = 0
    """At the baseline; 0 for a process that began later."""

    kernel_peak_rss: int | None = None
    """The kernel's own peak; `None`: it does not tell."""


@dataclass(frozen=True, kw_only=True)
class MemoryLimit:
    """What the kernel was told, in bytes."""

    data_bytes: int
    """Private memory when the limit was set."""

    limit_bytes: int
    """`RLIMIT_DATA`."""


@dataclass(kw_only=True)
class MemoryRecord:
    """The readings of one memory case."""

    metric: str | None = None
    """What was read; see `bench.sensors.memory_metrics.METRICS`."""

    baseline: MemoryReading | None = None
    """Before the loader was made; `None`: the case did not get that far."""

    budget_bytes: int | None = None
    enforcement: str | None = None
    """What kept the budget; `None`: nothing."""

    limit: MemoryLimit | None = None

    readings: list[MemoryReading] = field(default_factory=list)
    phases: list[Phase] = field(default_factory=list)
    processes: list[ProcessPeak] = field(default_factory=list)
    sampler_cpu_seconds: float | None = None
    sampler_seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class DeviceMemory:
    """What the framework's allocator says of the accelerator."""

    peak_device_bytes: int | None = None
    device_bytes_in_use: int | None = None
    pinned_peak_bytes: int | None = None
    reason: str | None = None
    """Why there is no figure."""


class CardReading(NamedTuple):
    """A card at one moment, an array in `run.json`; see `bench.sensors.nvml.Card.read`."""

    t: float
    """Seconds since the watching began."""

    memory_used_bytes: float | None = None
    utilization: float | None = None
    power_w: float | None = None
    energy_j: float | None = None
    sm_clock_hz: float | None = None
    throttle: list[str] | None = None


@dataclass(frozen=True, kw_only=True)
class CardRecord:
    """A card during one case."""

    reason: str | None = None
    """Why it was not read."""

    idle: CardReading | None = None
    """Before the case."""

    readings: list[CardReading] = field(default_factory=list)
    other_processes: int | None = None
    missing: dict[str, str] = field(default_factory=dict)
    """Figure -> why it is not available."""


@dataclass(frozen=True, kw_only=True)
class RankRecord:
    """What one rank of a case measured."""

    rank: int
    """Its number, from 0."""

    machine: int | None = None
    """Of those of the case, from 0, which rank 0 runs on; `None`: older runs do not say."""

    rounds: list[Round] = field(default_factory=list)
    time_to_first_batch_s: list[float] = field(default_factory=list)


@dataclass(kw_only=True)
class ProcessRecord:
    """What one process of a case measured."""

    number: int = 1
    """Of the pass that it belongs to, from 1."""

    outcome: str = "ok"
    """`ok`, or how it ended: a value of `CaseRecord.outcome`."""

    device: str | None = None
    """`cpu`, or the accelerator by its driver's name; `None`: it did not get that far."""

    rounds: list[Round] = field(default_factory=list)
    decoding: list[DirectRead] = field(default_factory=list)
    """Decoding of encoded images alone; see `bench.child.decoding_rate`."""

    direct_reads: list[DirectRead] = field(default_factory=list)
    parts: dict[str, float] = field(default_factory=dict)
    """Seconds per batch of a user's input, by what takes them; see `bench.child.inputs`."""

    ranks: list[RankRecord] = field(default_factory=list)
    """Of several, each; `rounds` then have the samples of all and the seconds of the slowest."""

    same_weights: bool | None = None
    """Whether ranks that train together had the same weights after their rounds."""

    time_to_first_batch_s: list[float] = field(default_factory=list)
    epoch_boundary_s: list[float] = field(default_factory=list)
    memory: MemoryRecord | None = None
    device_memory: DeviceMemory | None = None
    card: CardRecord | None = None
    swapped_bytes: int | None = None
    """What the machine swapped meanwhile."""

    duration_s: float = 0.0
