"""The memory plots: footprint against the number of samples, and memory over time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, NullLocator

from keras_loader_bench.bench.plan.options import ROW_OPTIONS
from keras_loader_bench.bench.record.footprint import (
    loader_readings,
)
from keras_loader_bench.bench.record.process_record import Phase
from keras_loader_bench.bench.record.schema import CaseRecord, Run
from keras_loader_bench.bench.report import cells
from keras_loader_bench.bench.report.figures.row_options import describe
from keras_loader_bench.bench.report.figures.rows import row_label
from keras_loader_bench.bench.report.figures.scaling import Scaling, by_options
from keras_loader_bench.bench.report.plots.plot_layout import (
    GREY,
    GRID,
    TITLE,
    Styles,
    short,
)
from keras_loader_bench.bench.report.plots.plot_parts import panel_grid, shared_legend
from keras_loader_bench.bench.report.sections.memory_section import size_text

_SCALING_COLUMNS = 2
_COLUMNS = 4
_MIB = 2**20
_LEAST_MIB = 1.0
"""The lower end of the logarithmic axis of timelines; smaller sizes are drawn there."""

_MARKED_PHASES = {
    "loader": "loader made",
    "epoch 1": "first epoch",
    "epoch 2": "later epochs",
    "round 2": "later rounds",
    "closed": "closed",
}


def scaling_figure(lines: Sequence[Scaling], styles: Styles) -> Figure | None:
    """Draw footprint against samples, with the budget and where loaders ran out of memory.

    Args:
        lines: the result of `scalings`. Those of one backend and set of options share a panel.
        styles: the styles of the loaders.

    Returns:
        The figure; `None` without lines.
    """
    if not lines:
        return None
    panels = by_options(lines)
    figure, axes = panel_grid(
        len(panels), columns=_SCALING_COLUMNS, size=(6.0, 3.7), margin=0.9, sharey=True
    )
    for ax, (place, group) in zip(axes, panels.items(), strict=True):
        _scaling_panel(ax, group, styles)
        title = short(place or describe(group[0].row, ("backend", "batch_size")), TITLE)
        ax.set_title(title, loc="left", fontsize=10, fontweight="bold")
    for ax in axes[::_SCALING_COLUMNS]:
        ax.set_ylabel("footprint (MiB)")
    died = Line2D([], [], color=GREY, marker="x", linestyle="", label="did not finish")
    shared_legend(figure, [died] if any(line.died for line in lines) else [], columns=5)
    return figure


def _scaling_panel(ax: Axes, lines: Sequence[Scaling], styles: Styles) -> None:
    budget = next((line.budget_bytes for line in lines if line.budget_bytes), None)
    for number, line in enumerate(lines):
        lived, style = line.lived, styles[line.row.loader]
        ax.plot(
            list(lived),
            [max(size, _MIB) / _MIB for size in lived.values()],
            color=style.color,
            linestyle=":" if line.row.num_workers else "-",
            marker=style.marker,
            markersize=5,
            label=short(line.row.label),
        )
        if budget is not None:
            # Above the budget and staggered, as many loaders fail at the same size.
            heights = [budget / _MIB * 1.18 ** (1 + number)] * len(line.died)
            ax.plot(list(line.died), heights, color=style.color, marker="x", linestyle="")
    if budget is not None:
        ax.axhline(budget / _MIB, color="black", linewidth=1, linestyle="--")
        ax.annotate(
            f"budget {size_text(budget)}",
            (0.99, budget / _MIB),
            (0, -3),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            ha="right",
            va="top",
            fontsize=8,
        )
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    sizes = sorted({samples for line in lines for samples in line.sizes})
    ax.set_xticks(sizes)
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda size, _: f"{size:,.0f}"))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda size, _: f"{size:,.0f}"))
    ax.grid(color=GRID, linewidth=0.6)
    ax.set_axisbelow(True)
    ax.set_xlabel("samples")


def timeline_figure(run: Run, styles: Styles) -> Figure | None:
    """Draw the memory of process trees over the baseline against time, with the phases.

    Each loader has a panel per set of options, at its largest number of samples. All share one
    logarithmic axis: footprints range from a few MiB to GiB.

    Args:
        run: the run.
        styles: the styles of the loaders.

    Returns:
        The figure; `None` if no case has a baseline and readings with times.
    """
    chosen: dict[tuple[Any, ...], CaseRecord] = {}
    for result in sorted(run.cases, key=lambda result: result.case.samples):
        memory = result.memory
        readings = loader_readings(memory) if memory and memory.baseline else []
        if len(readings) > 1 and all(reading.t is not None for reading in readings):
            # Of several sizes, the largest.
            key = tuple(getattr(result.case, name) for name in ROW_OPTIONS if name != "samples")
            chosen[key] = result
    if not chosen:
        return None
    results = [chosen[key] for key in sorted(chosen)]
    figure, axes = panel_grid(
        len(results), columns=_COLUMNS, size=(3.1, 2.2), margin=0.7, sharey=True
    )
    for ax, result in zip(axes, results, strict=True):
        _timeline_panel(ax, result, styles[result.case.loader].color)
    axes[0].set_yscale("log")  # of all panels
    axes[0].yaxis.set_major_formatter(FuncFormatter(lambda size, _: f"{size:,.0f}"))
    axes[0].set_ylim(bottom=_LEAST_MIB, top=1.5 * axes[0].get_ylim()[1])
    for ax in axes[::_COLUMNS]:
        ax.set_ylabel("MiB over baseline", fontsize=8)
    notes = [
        Patch(facecolor=to_rgba(GREY, 0.3), edgecolor=GREY, label="private and shared (counts)"),
        Line2D([], [], color=GREY, linestyle=":", label="page cache (can be reclaimed)"),
    ]
    shared_legend(figure, notes, columns=len(notes))
    return figure


def _timeline_panel(ax: Axes, result: CaseRecord, color: str) -> None:
    memory, case = result.memory, result.case
    assert memory is not None
    assert memory.baseline is not None
    baseline, readings = memory.baseline, loader_readings(memory)
    start = readings[0].t or 0.0
    times = [(reading.t or 0.0) - start for reading in readings]
    counted = [reading.counted_bytes - baseline.counted_bytes for reading in readings]
    cached = [reading.file - baseline.file for reading in readings]
    held = [max(size / _MIB, _LEAST_MIB) for size in counted]
    ax.fill_between(times, _LEAST_MIB, held, facecolor=to_rgba(color, 0.3))
    ax.plot(times, held, color=color, linewidth=1.2)
    cache = [max(size / _MIB, _LEAST_MIB) for size in cached]
    ax.plot(times, cache, color=color, linewidth=1.2, linestyle=":")
    phases = [replace(each, t=each.t - start) for each in memory.phases]
    _mark_phases(ax, phases, times[-1])
    label = row_label(case.loader, case.num_workers)
    if result.died_of_budget:
        label += f", {cells.outcome(result.outcome, None)}"
    options = f"{case.backend}, {case.samples:,} samples"
    title = "\n".join(short(line) for line in (label, options))
    ax.set_title(title, loc="left", fontsize=8)
    ax.set_xlim(0, times[-1])
    ax.set_xlabel("seconds since the baseline", fontsize=7)
    ax.tick_params(labelsize=7)
    ax.grid(axis="y", color=GRID, linewidth=0.6)
    ax.set_axisbelow(True)


def _mark_phases(ax: Axes, phases: Sequence[Phase], end: float) -> None:
    """Draw where phases begin. Of two that begin almost together, only the later has a label."""
    marked = [phase for phase in phases if phase.name in _MARKED_PHASES]
    starts = [*(phase.t for phase in marked), math.inf]
    for phase, next_start in zip(marked, starts[1:], strict=True):
        ax.axvline(phase.t, color="#333333", linewidth=0.7)
        if next_start - phase.t < 0.06 * end:
            continue
        at_end = phase.t > 0.94 * end
        ax.annotate(
            _MARKED_PHASES[phase.name],
            (phase.t, 0.98),
            (-1 if at_end else 1, 0),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            rotation=90,
            va="top",
            ha="right" if at_end else "left",
            fontsize=6,
        )
