"""The plots of a run: what loaders deliver (`rates`) and what they hold in memory (`footprint`).

Those that show how memory develops are in `memory_plots`. Must not know: how figures are derived,
where reports lie, who looks at them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeGuard

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from bench.report import cells
from bench.report.emulation import emulations
from bench.report.emulation_plot import emulation_figure
from bench.report.figures import Throughput
from bench.report.memory_figures import Memory
from bench.report.memory_plots import scaling_figure, timeline_figure
from bench.report.plot_layout import GREY, Layout, bar_style, lighter, page_cache_style
from bench.report.rows import Row, not_skipped
from bench.report.scaling import Scaling
from bench.statistics import CONFIDENCE

CAPTIONS = MappingProxyType(
    {
        "rates.png": "Feed and training rate of each loader",
        "footprint.png": "Memory of each loader over the baseline",
        "emulated.png": "AU of each loader against the time of an emulated step",
        "scaling.png": "Footprint of each loader against the number of samples",
        "timeline.png": "Memory of each loader's process tree over time",
    }
)
"""Name of a plot's PNG file -> what it shows, for readers who cannot see it."""

_STYLE: Any = {
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.spines.left": False,
    "font.family": ["DejaVu Sans"],  # the one font that comes with Matplotlib
    "font.size": 9,
    "hatch.linewidth": 0.6,
    "svg.hashsalt": "keras-loader-bench",  # the same run gives the same bytes
}


def write_plots(
    run: Mapping[str, Any], rows: Sequence[Row], lines: Sequence[Scaling], folder: Path
) -> list[Path]:
    """Draw what was measured, as SVG and as PNG.

    Args:
        run: the content of `run.json`.
        rows: what `rows_from_run` returned.
        lines: what `scalings` returned.
        folder: where the files go.

    Returns:
        The files written; none of a plot for which nothing was measured.
    """
    written = []
    with mpl.rc_context(_STYLE):
        figures = {
            "rates": rates_figure(rows),
            # Bars of every size would say less than a line.
            "footprint": None if lines else footprint_figure(rows),
            "emulated": emulation_figure(emulations(rows)),
            "scaling": scaling_figure(lines),
            "timeline": timeline_figure(run),
        }
        for name, figure in figures.items():
            if figure is not None:
                written += [folder / f"{name}.svg", folder / f"{name}.png"]
                figure.savefig(written[-2], metadata={"Date": None, "Creator": None})
                figure.savefig(written[-1], dpi=150, metadata={"Software": None})
    return written


def rates_figure(rows: Sequence[Row]) -> Figure | None:
    """Draw feed and training rates with their intervals; `None` without any rate."""
    rows = not_skipped(rows)
    panels = [
        (title, [getattr(row, bench) for row in rows])
        for bench, title in (("feed", "Feed rate (null model)"), ("train", "Training rate (CNN)"))
        if any(_reach(getattr(row, bench)) for row in rows)
    ]
    if not panels:
        return None
    layout = Layout.of(rows)
    kinds = layout.legend()
    figure = layout.figure(5.2 * len(panels) if len(panels) > 1 else 6.4, legend=bool(kinds))
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    unit = f"thousand samples per second (median, {CONFIDENCE:.0%} interval)"
    for ax, (title, cases) in zip(axes, panels, strict=True):
        layout.prepare(ax, title, unit)
        for y, row, case in zip(layout.positions, rows, cases, strict=True):
            _rate_bar(ax, y, row, case, layout.colors[row.loader])
        ax.set_xlim(0, 1.3 * max(_reach(case) for case in cases))
    if kinds:
        figure.legend(handles=kinds, loc="outside lower center", frameon=False)
    return figure


def footprint_figure(rows: Sequence[Row]) -> Figure | None:
    """Draw memory over the baseline, stacked by kind; `None` where none was measured."""
    rows = not_skipped(rows)
    if not any(_has_footprint(row.memory) for row in rows):
        return None
    layout = Layout.of(rows)
    figure = layout.figure(8.0, legend=True)
    ax = figure.subplots()
    layout.prepare(ax, "Memory over the baseline", "MiB")
    reach = [
        _memory_bar(ax, y, row, layout.colors[row.loader])
        for y, row in zip(layout.positions, rows, strict=True)
    ]
    ax.set_xlim(
        1.15 * min(0.0, *(low for low, _ in reach)), 1.3 * max(1.0, *(high for _, high in reach))
    )
    kinds = [
        Patch(facecolor=GREY, label="private (counts)"),
        Patch(facecolor=lighter(GREY, 0.45), label="shared (counts)"),
        Patch(**page_cache_style(GREY), label="page cache (can be taken back)"),
        *layout.legend(),
    ]
    figure.legend(handles=kinds, loc="outside lower center", ncols=len(kinds), frameon=False)
    return figure


def _has_footprint(memory: Memory | None) -> TypeGuard[Memory]:
    return memory is not None and memory.outcome == "ok" and memory.footprint_bytes is not None


def _reach(case: Throughput | None) -> float:
    """How far to the right a case is drawn, in thousand samples per second; 0: not at all."""
    if case is None or case.rate is None or case.outcome not in ("ok", "interrupted"):
        return 0.0
    return (case.rate.high or case.rate.median) / 1000


def _rate_bar(ax: Axes, y: int, row: Row, case: Throughput | None, color: str) -> None:
    text = cells.measured(case, lambda case: cells.median(case.rate, cells.rate))
    text = _not_ranked(row, case, text)
    reach = _reach(case)
    if case is not None and case.rate is not None and reach:
        middle = case.rate.median / 1000
        ax.barh(y, middle, height=0.62, **bar_style(row, color))
        if case.rate.low is not None:
            ends = [[middle - case.rate.low / 1000], [reach - middle]]
            ax.errorbar(middle, y, xerr=ends, color="black", capsize=3, linewidth=1.2)
    _label(ax, reach, y, text)


def _memory_bar(ax: Axes, y: int, row: Row, color: str) -> tuple[float, float]:
    """Draw one row; what shrank is stacked to the left of zero. Returns how far it reaches."""
    memory, low, high = row.memory, 0.0, 0.0
    if _has_footprint(memory):
        parts: tuple[tuple[int | None, dict[str, Any]], ...] = (
            (memory.anon_bytes, bar_style(row, color)),
            (memory.shmem_bytes, {"facecolor": lighter(color, 0.45)}),
            (memory.page_cache_bytes, page_cache_style(color)),
        )
        for count, style in parts:
            size = (count or 0) / 2**20
            ax.barh(y, size, left=low if size < 0 else high, height=0.62, **style)
            low, high = low + min(size, 0.0), high + max(size, 0.0)
    _label(ax, high, y, _not_ranked(row, memory, cells.measured(memory, _sizes)))
    return low, high


def _not_ranked(row: Row, case: Throughput | Memory | None, text: str) -> str:
    """Say beside a bar why it must not be compared with the others."""
    if case is None:
        return "not run"
    unproven = case.outcome == "ok" and not row.may_be_ranked(case)
    return f"{text}, batches not proven identical" if unproven else text


def _sizes(memory: Memory) -> str:
    footprint = cells.mebibytes(memory.footprint_bytes)
    return f"{footprint} + {cells.mebibytes(memory.page_cache_bytes)} cache"


def _label(ax: Axes, x: float, y: int, text: str) -> None:
    ax.annotate(text, (x, y), (5, 0), textcoords="offset points", va="center", color=GREY)
