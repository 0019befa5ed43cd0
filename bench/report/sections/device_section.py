"""The accelerator section of a report: how cases used the device, and what disturbed it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from keras_loader_bench.bench.report import cells
from keras_loader_bench.bench.report.cells import Markdown
from keras_loader_bench.bench.report.figures.device_figures import FINE_ROUND_S, DeviceUse
from keras_loader_bench.bench.report.figures.row_options import HEADINGS, differing, value
from keras_loader_bench.bench.report.figures.rows import Row
from keras_loader_bench.bench.report.figures.throughput import Throughput
from keras_loader_bench.bench.report.sections.table import Table

Figure = TypeVar("Figure")

NOT_AVAILABLE = "not available"

BENCHES = {"train": "Training", "feed": "Feeding (null model)"}


_FIGURES = {
    "card": "everything that is read through NVML",
    "energy_j": "the energy counter",
    "memory_used_bytes": "memory of the GPU",
    "peak_bytes": "device memory",
    "power_w": "power",
    "processes": "other processes",
    "sm_clock_hz": "clock",
    "throttle": "throttling",
    "utilization": "GPU busy",
}
"""The words for figures of `run.json`."""


_RATES: Mapping[str, Callable[[Throughput], str]] = {
    "samples/s": lambda case: cells.interval(case.rate, cells.rate),
    "AU": lambda case: cells.interval(case.utilization, cells.fraction),
    "data stall": lambda case: cells.interval(case.data_stall, cells.fraction),
    "time to first batch (ms)": lambda case: cells.interval(
        case.time_to_first_batch_s, cells.milliseconds
    ),
}

_USES: Mapping[str, Callable[[DeviceUse], str | None]] = {
    "device memory (MiB)": lambda use: _written(use.peak_bytes, cells.mebibytes),
    "in use after the rounds (MiB)": lambda use: _written(use.bytes_in_use, cells.mebibytes),
    "pinned on the host (MiB)": lambda use: _written(use.pinned_peak_bytes, cells.mebibytes),
    "GPU memory over idle (MiB)": lambda use: _written(use.over_idle_bytes, cells.mebibytes),
    "energy (J per 1,000 samples)": lambda use: _marked(
        use,
        _written(
            use.joules_per_1000_samples, lambda energy: cells.interval(energy, cells.significant)
        ),
    ),
    "power (W)": lambda use: _written(use.power_w, cells.significant),
    "GPU busy": lambda use: _marked(use, _written(use.utilization, cells.fraction)),
    "clock (MHz)": lambda use: _written(use.clock_hz, lambda clock: f"{clock / 1e6:,.0f}"),
}

_WHERE_KNOWN = {"in use after the rounds (MiB)", "pinned on the host (MiB)"}
"""Columns that are left out if no row has them; not all backends and schemas record them."""


def device_tables(rows: Sequence[Row]) -> list[Table]:
    """Return a table of training and one of feed, for rows that ran on an accelerator."""
    tables = []
    for bench, title in BENCHES.items():
        used = [row for row in rows if (case := getattr(row, bench)) and case.device_use]
        if used:
            tables.append(_table(used, bench, title))
    return tables


def _table(rows: Sequence[Row], bench: str, title: str) -> Table:
    names = differing(rows)
    all_uses = [getattr(row, bench).device_use for row in rows]
    uses = {
        name: write
        for name, write in _USES.items()
        if name not in _WHERE_KNOWN or any(write(use) for use in all_uses)
    }
    lines = [[*(HEADINGS[name] for name in names), "loader", *_RATES, *uses]]
    for row, use in zip(rows, all_uses, strict=True):
        case: Throughput = getattr(row, bench)
        rates = list(_RATES.values())
        first = cells.measured(case, rates[0])
        lines.append(
            [
                *(value(row, name) for name in names),
                cells.code(row.label),
                first,
                *(write(case) for write in rates[1:]),
                *(write(use) or NOT_AVAILABLE for write in uses.values()),
            ]
        )
    return Table(text=f"{title} on {_names(rows, bench)}.", lines=lines)


def _names(rows: Sequence[Row], bench: str) -> str:
    names = {getattr(row, bench).device_use.name for row in rows}
    return cells.enumeration(sorted(names))


def device_disturbances(rows: Sequence[Row]) -> list[Markdown]:
    """Return one warning per kind of disturbance of the GPU, worded as in `stability`."""
    throttled: dict[str, list[str]] = {}
    shared: list[str] = []
    for row, bench, use in _uses(rows):
        label = f"{cells.code(row.label)} ({bench})"
        for reason in use.throttled:
            throttled.setdefault(reason, []).append(label)
        if use.other_processes:
            shared.append(label)
    said = [
        f"**The GPU was throttled by {reason}** in rounds of {cells.enumeration(_unique(labels))}, "
        "so these rates are too low. Cool it or lower its clock for all cases, and run again."
        for reason, labels in throttled.items()
    ]
    if shared:
        said.append(
            "**Other processes used the GPU** during rounds of "
            f"{cells.enumeration(_unique(shared))}. Stop them and run again."
        )
    return [Markdown(text) for text in said]


def device_notes(rows: Sequence[Row]) -> list[Markdown]:
    """Return notes on figures of the GPU that are missing or coarse."""
    missing: dict[str, set[str]] = {}
    integrated = coarse = False
    for _, _, use in _uses(rows):
        coarse |= use.coarse
        for figure, reason in use.missing.items():
            missing.setdefault(reason, set()).add(_FIGURES.get(figure, figure))
        integrated |= "power" in (use.energy_source or "")
    said = []
    if integrated:
        said.append(
            "Energy is integrated from power readings if the GPU's energy counter is missing or "
            "did not change during a round."
        )
    if coarse:
        said.append(
            f"*Coarse*: rounds were shorter than {FINE_ROUND_S:g} s. The GPU updates its energy "
            "counter every 100 ms, and its busy share is an average over up to a second."
        )
    said += [
        f"Not available: {cells.enumeration(sorted(figures))} ({cells.prose(reason)})."
        for reason, figures in sorted(missing.items())
    ]
    return [Markdown(text) for text in said]


def _uses(rows: Sequence[Row]) -> Iterator[tuple[Row, str, DeviceUse]]:
    """Yield the device use of each row and benchmark that has one."""
    for row in rows:
        for bench in BENCHES:
            case: Throughput | None = getattr(row, bench)
            if case is not None and case.device_use is not None:
                yield row, bench, case.device_use


def _unique(labels: Sequence[str]) -> list[str]:
    return list(dict.fromkeys(labels))


def _marked(use: DeviceUse, text: str | None) -> str | None:
    """Mark a figure as coarse if rounds were too short for it."""
    return f"{text} (coarse)" if text and use.coarse else text


def _written(figure: Figure | None, write: Callable[[Figure], str]) -> str | None:
    return None if figure is None else write(figure)
