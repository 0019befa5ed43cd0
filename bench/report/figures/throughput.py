"""Computes rates and utilizations of feed and training cases from raw values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from keras_loader_bench.bench.plan.case import Case
from keras_loader_bench.bench.record.process_record import Round
from keras_loader_bench.bench.record.schema import CaseRecord
from keras_loader_bench.bench.report.figures.device_figures import DeviceUse, read_device_use
from keras_loader_bench.bench.report.figures.endings import case_outcome, case_signal
from keras_loader_bench.bench.report.figures.machine_load import used_by_others
from keras_loader_bench.bench.statistics import Estimate, ratios


@dataclass(frozen=True, kw_only=True)
class Throughput:
    """Figures of one feed or training case; `None` if no round was recorded."""

    outcome: str
    """How the case ended: `ok`, `failed`, `killed`, `timeout`, `audit_failed`, ..."""

    signal: str | None
    """Name of the signal that ended it, such as `SIGKILL`."""

    rate: Estimate | None
    """Samples per second."""

    utilization: Estimate | None
    """AU: seconds of the neighbouring ceiling round / seconds of the round."""

    rates: tuple[float, ...] = ()
    """The rate of each round."""

    utilizations: tuple[float, ...] = ()
    """AU of each round."""

    cpu_s_per_1000_samples: Estimate | None
    """User and system seconds of the whole process tree per 1,000 samples delivered."""

    time_to_first_batch_s: Estimate | None
    """Seconds from the start of `fit` to the end of its first step."""

    epoch_boundary_s: Estimate | None = None
    """Seconds from the end of an epoch's last step to the end of the first step of the next."""

    resident_before: Estimate | None = None
    """Share of the source's pages that were in memory when a round began, from 0 to 1."""

    read_bytes_per_sample: Estimate | None = None
    """Bytes that the process tree read from storage per sample delivered."""

    others: float = 0.0
    """Share of the cores that other processes used during the rounds; 0 where that is unknown."""

    device_use: DeviceUse | None = None
    """The accelerator's part; `None` on a CPU."""

    @property
    def data_stall(self) -> Estimate | None:
        """Fraction of the time in which the model waits for data: 1 - AU, at least 0."""
        return self.utilization and self.utilization.complement()


@dataclass(frozen=True, kw_only=True)
class EmulatedFigures:
    """A case whose steps wait for a given time."""

    step_ms: float
    """Milliseconds that each step waits when its batch has arrived."""

    busy: bool
    """Whether it keeps one core busy meanwhile, instead of sleeping."""

    case: Throughput


def read_throughput(
    result: CaseRecord | None, *, resolution: float = 0, cores: int | None = None
) -> Throughput | None:
    """Return the figures of a feed or training case; `None` if it was not run.

    Args:
        result: the case.
        resolution: of its AU, see `Estimate.resolution`.
        cores: of the machine; `None`: unknown.
    """
    if result is None:
        return None
    figures = {each.number: round_figures(result.case, each.rounds) for each in result.processes}

    def estimate(name: str) -> Estimate | None:
        return Estimate.from_processes({number: each[name] for number, each in figures.items()})

    def listed(name: str) -> Estimate | None:
        return Estimate.from_processes({p.number: getattr(p, name) for p in result.processes})

    resident = {
        process.number: [r.resident_before for r in process.rounds if r.resident_before is not None]
        for process in result.processes
    }
    utilization = estimate("utilization")
    return Throughput(
        outcome=case_outcome(result),
        signal=case_signal(result),
        rate=estimate("rate"),
        utilization=utilization and replace(utilization, resolution=resolution),
        rates=tuple(rate for each in figures.values() for rate in each["rate"]),
        utilizations=tuple(au for each in figures.values() for au in each["utilization"]),
        cpu_s_per_1000_samples=estimate("cpu"),
        time_to_first_batch_s=listed("time_to_first_batch_s"),
        epoch_boundary_s=listed("epoch_boundary_s"),
        resident_before=Estimate.from_processes(resident),
        read_bytes_per_sample=estimate("read"),
        others=used_by_others(result, cores),
        device_use=read_device_use(result),
    )


def round_figures(case: Case, rounds: Sequence[Round]) -> dict[str, list[float]]:
    """Return the figures of each round of a feed, training or emulated case.

    Returns:
        `rate` in samples per second, `utilization` (AU), `cpu` in seconds per 1,000 samples,
        `cpu_against_ceiling`: CPU seconds of the round / of the ceiling's, `ceiling_cpu`: CPU
        seconds of the ceiling per sample, `read`: bytes from storage per sample. Rounds of which a
        part is missing are left out.
    """
    # A round without samples has no rate.
    delivered: list[float | None] = [each.timed[0] or None for each in rounds]
    seconds, ceiling_seconds = ([each.timed[i] for each in rounds] for i in (1, 2))
    if case.bench == "emulated":
        # All steps but the first, so that the start of a short round weighs no more than it does
        # in an epoch.
        seconds = _column(rounds, "steady_seconds")
        ceiling_seconds = _column(rounds, "ceiling_steady_seconds")
        first = case.batch_size * case.ranks
        samples = _column(rounds, "samples")
        delivered = [count - first if count and count > first else None for count in samples]
    whole = [each.round_samples or each.samples or None for each in rounds]
    cpu_seconds = _column(rounds, "cpu_seconds")
    ceiling_cpu_seconds = _column(rounds, "ceiling_cpu_seconds")
    return {
        "rate": ratios(delivered, seconds),
        "utilization": ratios(ceiling_seconds, seconds),
        "cpu": [1000 * each for each in ratios(cpu_seconds, whole)],
        "cpu_against_ceiling": ratios(cpu_seconds, ceiling_cpu_seconds),
        "ceiling_cpu": ratios(ceiling_cpu_seconds, whole),
        "read": ratios(_column(rounds, "read_bytes"), whole),
    }


def measured_rounds(result: CaseRecord) -> list[dict[str, float | None]]:
    """Return what was read in each round of a timed case, and its rate and AU.

    Returns:
        One mapping a round; `None` is what a round that was cut short lacks.
    """
    names = ("samples", "seconds", "ceiling_seconds", "cpu_seconds", "ceiling_cpu_seconds")
    found = []
    for measured in result.rounds:
        figures = round_figures(result.case, [measured])
        found.append(
            {
                **{name: getattr(measured, name) for name in names},
                "samples_per_s": next(iter(figures["rate"]), None),
                "accelerator_utilization": next(iter(figures["utilization"]), None),
            }
        )
    return found


def _column(rounds: Sequence[Round], name: str) -> list[float | None]:
    return [getattr(measured, name) for measured in rounds]
