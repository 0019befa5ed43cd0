"""Computes the accelerator figures of a timed case."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

from keras_loader_bench.bench.record.process_record import (
    CardReading,
    CardRecord,
    DeviceMemory,
    Round,
)
from keras_loader_bench.bench.record.schema import CaseRecord
from keras_loader_bench.bench.statistics import Estimate, ratios

FINE_ROUND_S = 2.0
"""NVML's energy counter moves every 100 ms, and its busy share is that of up to a second: from
shorter rounds both are coarse."""


@dataclass(frozen=True, kw_only=True)
class DeviceUse:
    """An accelerator during the timed rounds of one case; `None` if a figure is not available.

    Why it is not stands in `missing`.
    """

    name: str
    """As the driver gives it."""

    peak_bytes: int | None = None
    """Peak of the framework's own allocator since the loader was made (on JAX, since the process
    began): model, batches on the device, and what steps need."""

    bytes_in_use: int | None = None
    """What the framework's allocator had handed out when the rounds were over."""

    pinned_peak_bytes: int | None = None
    """Peak of the host's memory that torch pinned for transfers; other backends do not tell."""

    over_idle_bytes: int | None = None
    """Most memory in use on the card in rounds, by whomever, minus that before the case. It
    includes what the driver and the framework keep for themselves."""

    utilization: float | None = None
    """Mean fraction of time in which the card ran anything: "GPU-Util", which says nothing about
    how much of the card was in use."""

    power_w: float | None = None
    """Mean power, in watts."""

    joules_per_1000_samples: Estimate | None = None
    energy_source: str | None = None
    """`counter`: the card's own; `power`: power readings, integrated."""

    coarse: bool = False
    """Whether rounds were shorter than `FINE_ROUND_S`."""

    clock_hz: float | None = None
    """Median clock of the multiprocessors."""

    throttled: tuple[str, ...] = ()
    """What held the clock down in any round, of the loader or of its ceiling."""

    other_processes: int | None = None
    """Processes that computed on the card and were not the case's."""

    missing: Mapping[str, str]
    """Figure -> why it is not available."""


def read_device_use(result: CaseRecord) -> DeviceUse | None:
    """Return what a case says of its accelerator; `None` where it ran on a CPU."""
    name = result.device
    if name is None or name == "cpu":
        return None
    processes = [each for each in result.processes if each.device == name]
    memories = [each.device_memory or DeviceMemory() for each in processes]
    cards = [each.card or CardRecord() for each in processes]
    missing = {figure: why for card in cards for figure, why in card.missing.items()}
    reasons = [("peak_bytes", memory.reason) for memory in memories]
    reasons += [("card", card.reason) for card in cards]
    missing |= {figure: reason for figure, reason in reasons if reason}
    during: list[CardReading] = []
    in_pairs: list[CardReading] = []
    over_idle: list[int] = []
    for process, card in zip(processes, cards, strict=True):
        readings = [r for r in card.readings if _in_a_round(r, process.rounds)]
        during += readings
        # A ceiling on a card that is held down would flatter every loader.
        in_pairs += [r for r in card.readings if _in_a_pair(r, process.rounds)]
        used = [r.memory_used_bytes for r in readings if r.memory_used_bytes is not None]
        if used and card.idle and card.idle.memory_used_bytes is not None:
            over_idle.append(int(max(used) - card.idle.memory_used_bytes))

    def known(figure: str, of: list[CardReading]) -> list[Any]:
        return [value for reading in of if (value := getattr(reading, figure)) is not None]

    def peak(values: Iterable[int | None]) -> int | None:
        return max((value for value in values if value is not None), default=None)

    powers, busy, clocks = (known(n, during) for n in ("power_w", "utilization", "sm_clock_hz"))
    rounds = [each for process in processes for each in process.rounds]
    lengths = [
        r.card_end - r.card_start
        for r in rounds
        if r.card_start is not None and r.card_end is not None
    ]
    joules = {
        process.number: ratios(
            [r.energy_j for r in process.rounds], [r.samples or None for r in process.rounds]
        )
        for process in processes
    }
    return DeviceUse(
        name=name,
        peak_bytes=peak(memory.peak_device_bytes for memory in memories),
        bytes_in_use=peak(memory.device_bytes_in_use for memory in memories),
        pinned_peak_bytes=peak(memory.pinned_peak_bytes for memory in memories),
        over_idle_bytes=max(over_idle, default=None),
        utilization=fmean(busy) if busy else None,
        power_w=fmean(powers) if powers else None,
        joules_per_1000_samples=Estimate.from_processes(
            {number: [1000 * each for each in values] for number, values in joules.items()}
        ),
        energy_source=" and ".join(sorted({r.energy_source for r in rounds if r.energy_source}))
        or None,
        coarse=bool(lengths) and median(lengths) < FINE_ROUND_S,
        clock_hz=median(clocks) if clocks else None,
        throttled=tuple(sorted({name for names in known("throttle", in_pairs) for name in names})),
        other_processes=peak(card.other_processes for card in cards),
        missing={figure: why for figure, why in missing.items() if not known(figure, during)},
    )


def _in_a_round(reading: CardReading, rounds: Iterable[Round]) -> bool:
    return any(_within(reading, each.card_start, each.card_end) for each in rounds)


def _in_a_pair(reading: CardReading, rounds: Iterable[Round]) -> bool:
    """Whether a reading was taken in a round or in that of its ceiling.

    Up to method 1 the ceiling came first, and its end was not recorded.
    """
    return _in_a_round(reading, rounds) or any(
        _within(reading, each.ceiling_start, each.ceiling_end or each.card_end) for each in rounds
    )


def _within(reading: CardReading, start: float | None, end: float | None) -> bool:
    return start is not None and end is not None and start <= reading.t <= end
