"""The bar plots: rates, AU and footprints of loaders."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeGuard

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from keras_loader_bench.bench.report import cells
from keras_loader_bench.bench.report.figures.memory_figures import Memory
from keras_loader_bench.bench.report.figures.rows import Row, not_skipped
from keras_loader_bench.bench.report.figures.throughput import Throughput
from keras_loader_bench.bench.report.plots.plot_layout import (
    GREY,
    INK,
    Layout,
    Style,
    Styles,
    lighter,
    page_cache_style,
)
from keras_loader_bench.bench.statistics import CONFIDENCE, Estimate

DOTS = 0.45
"""Opacity of single rounds."""

FAR_OUT = 1.5
"""A round beyond this multiple of the end of the interval is not drawn."""


def rates_figure(rows: Sequence[Row], styles: Styles) -> Figure | None:
    """Draw feed and training rates, with intervals and single rounds; `None` if there are none."""
    return _timed_figure(rows, styles, RATE)


def utilization_figure(rows: Sequence[Row], styles: Styles) -> Figure | None:
    """Draw AU of feed and training in the same way, with the ceiling; `None` if there is none."""
    return _timed_figure(rows, styles, UTILIZATION)


@dataclass(frozen=True, kw_only=True)
class _Figure:
    """A kind of figure of timed cases, and how its bars are drawn."""

    titles: tuple[str, str]
    """Titles of the feed and training panels."""

    unit: str
    estimate: Callable[[Throughput], Estimate | None]
    rounds: Callable[[Throughput], Sequence[float]]
    write: Callable[[float], str]
    scale: float = 1.0
    """Size of the unit of the axis."""

    ceiling: float | None = None
    """Position of the line of the ceiling."""


RATE = _Figure(
    titles=("Feed rate (null model)", "Training rate"),
    unit="thousand samples per second",
    estimate=lambda case: case.rate,
    rounds=lambda case: case.rates,
    write=cells.rate,
    scale=1000,
)
UTILIZATION = _Figure(
    titles=("AU of feeding (null model)", "AU of training"),
    unit="AU: time of the ceiling / time",
    estimate=lambda case: case.utilization,
    rounds=lambda case: case.utilizations,
    write=cells.fraction,
    ceiling=1.0,
)


def _timed_figure(rows: Sequence[Row], styles: Styles, shown: _Figure) -> Figure | None:
    # Feeding encoded images has a plot of its own, beside decoding alone.
    rows = [replace(row, feed=None) if row.image_size else row for row in not_skipped(rows)]
    panels = [
        (title, [getattr(row, bench) for row in rows])
        for bench, title in zip(("feed", "train"), shown.titles, strict=True)
        if any(_reach(getattr(row, bench), shown) for row in rows)
    ]
    if not panels:
        return None
    layout = Layout.of(rows)
    figure = layout.figure(5.2 * len(panels) if len(panels) > 1 else 6.4, legend=True)
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for ax, (title, cases) in zip(axes, panels, strict=True):
        layout.prepare(ax, title, shown.unit)
        for y, row, case in zip(layout.positions, rows, cases, strict=True):
            _timed_bar(ax, y, row, case, styles[row.loader], shown)
        ax.set_xlim(0, 1.3 * max(_reach(case, shown) for case in cases))
        if shown.ceiling is not None:
            ax.axvline(shown.ceiling, color=GREY, linewidth=1, linestyle="--")
    handles: list[Patch | Line2D] = [
        Patch(facecolor=GREY, label="median"),
        Line2D([], [], color=INK, marker="|", linewidth=1.2, label=f"{CONFIDENCE:.0%} interval"),
        Line2D([], [], color=INK, marker=".", linestyle="", alpha=DOTS, label="one round"),
    ]
    if shown.ceiling is not None:
        handles.append(Line2D([], [], color=GREY, linewidth=1, linestyle="--", label="ceiling"))
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
    return figure


def footprint_figure(rows: Sequence[Row], styles: Styles) -> Figure | None:
    """Draw memory over the baseline, stacked by kind; `None` if none was measured."""
    # Rows that were only timed, as with workers, would be half of the plot.
    rows = [row for row in not_skipped(rows) if row.memory is not None]
    if not any(_has_footprint(row.memory) for row in rows):
        return None
    layout = Layout.of(rows)
    figure = layout.figure(8.0, legend=True)
    ax = figure.subplots()
    layout.prepare(ax, "Memory over the baseline", "MiB")
    reach = [
        _memory_bar(ax, y, row, styles[row.loader])
        for y, row in zip(layout.positions, rows, strict=True)
    ]
    ax.set_xlim(
        1.15 * min(0.0, *(low for low, _ in reach)), 1.3 * max(1.0, *(high for _, high in reach))
    )
    kinds = [
        Patch(facecolor=GREY, label="private (counts)"),
        Patch(facecolor=lighter(GREY, 0.45), label="shared (counts)"),
        Patch(**page_cache_style(GREY), label="page cache (can be reclaimed)"),
    ]
    figure.legend(handles=kinds, loc="outside lower center", ncols=len(kinds), frameon=False)
    return figure


def _has_footprint(memory: Memory | None) -> TypeGuard[Memory]:
    return memory is not None and memory.outcome == "ok" and memory.footprint_bytes is not None


def _reach(case: Throughput | None, shown: _Figure) -> float:
    """Return how far to the right a case is drawn, in units of the axis; 0 if it is not."""
    if case is None or case.outcome not in ("ok", "interrupted"):
        return 0.0
    estimate = shown.estimate(case)
    if estimate is None:
        return 0.0
    return max(_end(estimate, shown), *_dots(case, estimate, shown))


def _end(estimate: Estimate, shown: _Figure) -> float:
    return estimate.ends[1] / shown.scale


def _dots(case: Throughput, estimate: Estimate, shown: _Figure) -> list[float]:
    """Return the rounds to draw, without far outliers, which would shrink all bars."""
    rounds = [value / shown.scale for value in shown.rounds(case)]
    return [value for value in rounds if value <= FAR_OUT * _end(estimate, shown)] or [0.0]


def _timed_bar(
    ax: Axes, y: int, row: Row, case: Throughput | None, style: Style, shown: _Figure
) -> None:
    text = cells.measured(case, lambda case: cells.median(shown.estimate(case), shown.write))
    text = _not_ranked(row, case, text)
    reach = _reach(case, shown)
    if case is not None and reach and (estimate := shown.estimate(case)) is not None:
        middle = estimate.median / shown.scale
        ax.barh(y, middle, height=0.62, **style.bar)
        dots = _dots(case, estimate, shown)
        # Spread vertically, so that equal rounds do not hide each other.
        heights = [y + 0.24 * (2 * (i % 5) / 4 - 1) for i in range(len(dots))]
        ax.plot(dots, heights, color=INK, marker=".", markersize=3, linestyle="", alpha=DOTS)
        if estimate.low is not None:
            ends = [[middle - estimate.low / shown.scale], [_end(estimate, shown) - middle]]
            ax.errorbar(middle, y, xerr=ends, color=INK, capsize=3, linewidth=1.2)
    _label(ax, reach, y, text)


def _memory_bar(ax: Axes, y: int, row: Row, style: Style) -> tuple[float, float]:
    """Draw one row, with shrunk memory to the left of zero. Return how far it reaches."""
    memory, low, high = row.memory, 0.0, 0.0
    if _has_footprint(memory):
        parts: tuple[tuple[int | None, dict[str, Any]], ...] = (
            (memory.anon_bytes, style.bar),
            (memory.shmem_bytes, {**style.bar, "facecolor": lighter(style.color, 0.45)}),
            (memory.page_cache_bytes, page_cache_style(style.color)),
        )
        for count, fill in parts:
            size = (count or 0) / 2**20
            ax.barh(y, size, left=low if size < 0 else high, height=0.62, **fill)
            low, high = low + min(size, 0.0), high + max(size, 0.0)
    _label(ax, high, y, _not_ranked(row, memory, cells.measured(memory, _sizes)))
    return low, high


def _not_ranked(row: Row, case: Throughput | Memory | None, text: str) -> str:
    """Add to the label of a bar why it must not be compared with others."""
    if case is None:
        return "not run"
    unproven = case.outcome == "ok" and not row.may_be_ranked(case)
    return f"{text}, batches not proven identical" if unproven else text


def _sizes(memory: Memory) -> str:
    footprint = cells.mebibytes(memory.footprint_bytes)
    return f"{footprint} + {cells.mebibytes(memory.page_cache_bytes)} cache"


def _label(ax: Axes, x: float, y: int, text: str) -> None:
    ax.annotate(text, (x, y), (5, 0), textcoords="offset points", va="center", color=GREY)
