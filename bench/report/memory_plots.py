"""How memory develops: against the number of samples, and over the time of a case.

Must not know: how figures are derived, where reports lie.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, NullLocator

from keras_loader_bench.bench.plan.options import ROW_OPTIONS
from keras_loader_bench.bench.record.process_record import Phase
from keras_loader_bench.bench.record.schema import CaseRecord, Run
from keras_loader_bench.bench.report import cells
from keras_loader_bench.bench.report.memory_section import size_text
from keras_loader_bench.bench.report.plot_layout import (
    GREY,
    GRID,
    TITLE,
    Styles,
    lighter,
    new_figure,
    page_cache_style,
    short,
)
from keras_loader_bench.bench.report.plot_parts import panel_grid, shared_legend
from keras_loader_bench.bench.report.row_options import describe
from keras_loader_bench.bench.report.rows import row_label
from keras_loader_bench.bench.report.scaling import Scaling, by_options

_COLUMNS = 4
_MIB = 2**20
_MARKED_PHASES = {
    "model": "model",
    "ceiling": "ceiling",
    "loader": "loader",
    "epoch 1": "first epoch",
    "epoch 2": "later epochs",
    "round 2": "later rounds",
    "closed": "closed",
}


def scaling_figure(lines: Sequence[Scaling], styles: Styles) -> Figure | None:
    """Draw footprints against samples, with the budget and where loaders died; `None` without any.

    Args:
        lines: what `scalings` returned. Those of one backend and set of options share a panel.
        styles: of the loaders.
    """
    if not lines:
        return None
    panels = by_options(lines)
    figure = new_figure(6.4 * len(panels), 4.6)
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for ax, (place, group) in zip(axes, panels.items(), strict=True):
        _scaling_panel(ax, group, styles)
        title = short(place or describe(group[0].row, ("backend", "batch_size")), TITLE)
        ax.set_title(title, loc="left", fontsize=10, fontweight="bold")
    axes[0].set_ylabel("footprint (MiB)")
    died = Line2D([], [], color=GREY, marker="x", linestyle="", label="died")
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
            # Above the budget, each loader a little higher: many die at the same size.
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
    """Draw the memory of process trees over time, stacked by kind, with the phases.

    A panel for each loader with its options, at its largest number of samples.

    Args:
        run: what `read_run` returned.
        styles: of the loaders.

    Returns:
        The figure; `None` where no case has readings with times.
    """
    chosen: dict[tuple[Any, ...], CaseRecord] = {}
    for result in sorted(run.cases, key=lambda result: result.case.samples):
        readings = result.memory.readings if result.memory else []
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
    for ax in axes[::_COLUMNS]:
        ax.set_ylabel("MiB")
    axes[0].set_ylim(bottom=0)  # of all: only now does it know how far up they reach
    kinds = [
        Patch(facecolor=GREY, label="private"),
        Patch(facecolor=lighter(GREY, 0.45), label="shared"),
        Patch(**page_cache_style(GREY), label="page cache (can be taken back)"),
        Line2D([], [], color="black", linestyle="--", linewidth=1, label="baseline"),
    ]
    figure.legend(handles=kinds, loc="outside lower center", ncols=len(kinds), frameon=False)
    return figure


def _timeline_panel(ax: Axes, result: CaseRecord, color: str) -> None:
    memory, case = result.memory, result.case
    assert memory is not None
    readings = memory.readings
    times = [reading.t or 0.0 for reading in readings]
    kinds = {
        "anon": ([r.anon for r in readings], {"facecolor": color}),
        "shmem": (
            [r.shmem + r.dev_shm for r in readings],
            {"facecolor": lighter(color, 0.45)},
        ),
        "file": ([r.file for r in readings], page_cache_style(color)),
    }
    floor = [0.0] * len(times)
    for sizes, style in kinds.values():
        top = [low + size / _MIB for low, size in zip(floor, sizes, strict=True)]
        ax.fill_between(times, floor, top, **style)
        floor = top
    if memory.baseline:
        baseline = memory.baseline.counted_bytes / _MIB
        ax.axhline(baseline, color="black", linestyle="--", linewidth=1)
    _mark_phases(ax, memory.phases, max(times))
    label = row_label(case.loader, case.num_workers)
    if result.died_of_budget:
        label += f", {cells.outcome(result.outcome, None)}"
    options = f"{case.backend}, {case.samples:,} samples"
    title = "\n".join(short(line) for line in (label, options))
    ax.set_title(title, loc="left", fontsize=8)
    ax.set_xlim(0, max(times))
    ax.set_xlabel("s", fontsize=8)
    ax.tick_params(labelsize=7)


def _mark_phases(ax: Axes, phases: Sequence[Phase], end: float) -> None:
    """Draw where phases begin; of two that begin almost together the later one has a name."""
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
