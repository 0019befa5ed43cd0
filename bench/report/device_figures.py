"""Computes the accelerator figures of a timed case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean, median
from typing import Any

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


def read_device_use(result: Mapping[str, Any]) -> DeviceUse | None:
    """Return what a case says of its accelerator; `None` if it ran on a CPU.

    Args:
        result: a case, as in `run.json`.
    """
    name = result.get("device")
    if name in (None, "cpu"):
        return None
    memory, card = result.get("device_memory") or {}, result.get("card") or {}
    missing = {str(figure): str(reason) for figure, reason in (card.get("missing") or {}).items()}
    if memory.get("reason"):
        missing["peak_bytes"] = str(memory["reason"])
    if card.get("reason"):
        missing["card"] = str(card["reason"])
    rounds = result.get("rounds") or []
    readings = card.get("readings") or []
    during = [reading for reading in readings if _in_a_round(reading, rounds, "card_start")]
    # A ceiling on a card that is held down would flatter every loader.
    in_pairs = [reading for reading in readings if _in_a_round(reading, rounds, "ceiling_start")]

    def known(figure: str, of: list[Any]) -> list[Any]:
        return [reading[figure] for reading in of if reading.get(figure) is not None]

    used, powers = known("memory_used_bytes", during), known("power_w", during)
    idle = (card.get("idle") or {}).get("memory_used_bytes")
    busy, clocks = known("utilization", during), known("sm_clock_hz", during)
    sources = {source for r in rounds if (source := r.get("energy_source"))}
    lengths = [r["card_end"] - r["card_start"] for r in rounds if _was_watched(r)]
    return DeviceUse(
        name=str(name),
        peak_bytes=memory.get("peak_device_bytes"),
        bytes_in_use=memory.get("device_bytes_in_use"),
        pinned_peak_bytes=memory.get("pinned_peak_bytes"),
        over_idle_bytes=max(used) - idle if used and idle is not None else None,
        utilization=fmean(busy) if busy else None,
        power_w=fmean(powers) if powers else None,
        joules_per_1000_samples=estimate_ratio(
            [r.get("energy_j") for r in rounds],
            [r.get("samples") or None for r in rounds],
            scale=1000,
        ),
        energy_source=" and ".join(sorted(sources)) or None,
        coarse=bool(lengths) and median(lengths) < FINE_ROUND_S,
        clock_hz=median(clocks) if clocks else None,
        throttled=tuple(sorted({name for names in known("throttle", in_pairs) for name in names})),
        other_processes=card.get("other_processes"),
        missing={figure: why for figure, why in missing.items() if not known(figure, during)},
    )


def _was_watched(measured: Mapping[str, Any]) -> bool:
    return None not in (measured.get("card_start"), measured.get("card_end"))


def _in_a_round(
    reading: Mapping[str, Any], rounds: list[Mapping[str, Any]], beginning: str
) -> bool:
    windows = ((r.get(beginning), r.get("card_end")) for r in rounds)
    return any(
        start is not None and end is not None and start <= reading["t"] <= end
        for start, end in windows
    )
