"""Computes the accelerator figures of a timed case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

from keras_loader_bench.bench.record.process_record import CardReading, CardRecord, DeviceMemory
from keras_loader_bench.bench.record.schema import CaseRecord
from keras_loader_bench.bench.statistics import Estimate, estimate_ratio

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
    process = next(each for each in result.processes if each.device == name)
    memory, card = process.device_memory or DeviceMemory(), process.card or CardRecord()
    missing = dict(card.missing)
    if memory.reason:
        missing["peak_bytes"] = memory.reason
    if card.reason:
        missing["card"] = card.reason
    rounds = process.rounds
    during = [r for r in card.readings if any(_within(r, m.card_start, m.card_end) for m in rounds)]
    # A ceiling on a card that is held down would flatter every loader.
    in_pairs = [
        r for r in card.readings if any(_within(r, m.ceiling_start, m.card_end) for m in rounds)
    ]

    def known(figure: str, of: list[CardReading]) -> list[Any]:
        return [value for reading in of if (value := getattr(reading, figure)) is not None]

    used, powers = known("memory_used_bytes", during), known("power_w", during)
    idle = card.idle.memory_used_bytes if card.idle else None
    busy, clocks = known("utilization", during), known("sm_clock_hz", during)
    sources = {source for r in rounds if (source := r.energy_source)}
    lengths = [
        r.card_end - r.card_start
        for r in rounds
        if r.card_start is not None and r.card_end is not None
    ]
    return DeviceUse(
        name=name,
        peak_bytes=memory.peak_device_bytes,
        bytes_in_use=memory.device_bytes_in_use,
        pinned_peak_bytes=memory.pinned_peak_bytes,
        over_idle_bytes=max(used) - idle if used and idle is not None else None,
        utilization=fmean(busy) if busy else None,
        power_w=fmean(powers) if powers else None,
        joules_per_1000_samples=estimate_ratio(
            [r.energy_j for r in rounds],
            [r.samples or None for r in rounds],
            scale=1000,
        ),
        energy_source=" and ".join(sorted(sources)) or None,
        coarse=bool(lengths) and median(lengths) < FINE_ROUND_S,
        clock_hz=median(clocks) if clocks else None,
        throttled=tuple(sorted({name for names in known("throttle", in_pairs) for name in names})),
        other_processes=card.other_processes,
        missing={figure: why for figure, why in missing.items() if not known(figure, during)},
    )


def _within(reading: CardReading, start: float | None, end: float | None) -> bool:
    return start is not None and end is not None and start <= reading.t <= end
