"""The plot of a history: AU of each case over the runs, with changes marked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from keras_loader_bench.bench.history.series import CHANGED, History, Series
from keras_loader_bench.bench.report.figures.row_options import describe
from keras_loader_bench.bench.report.figures.rows import row_label
from keras_loader_bench.bench.report.plots.plot_layout import (
    GREY,
    GRID,
    INK,
    TITLE,
    Style,
    loader_styles,
    short,
)
from keras_loader_bench.bench.report.plots.plot_parts import (
    interval_line,
    panel_grid,
    shared_legend,
)
from keras_loader_bench.bench.statistics import CONFIDENCE

_COLUMNS = 2


def history_figure(history: History) -> Figure | None:
    """Draw AU against runs, a panel for each benchmark and set of options; `None` without any."""
    panels: defaultdict[str, list[Series]] = defaultdict(list)
    for series in history.series:
        panels[_place(series)].append(series)
    if not panels:
        return None
    known = history.runs[-1].run.loaders
    styles = loader_styles((series.case.loader for series in history.series), known)
    figure, axes = panel_grid(
        len(panels), columns=_COLUMNS, size=(5.4, 2.9), margin=1.1, least_width=7.0
    )
    positions = {each.name: number for number, each in enumerate(history.runs)}
    for ax, (title, group) in zip(axes, panels.items(), strict=True):
        for series in group:
            xs = [positions[each.name] for each in series.runs]
            _line(ax, xs, series, styles[series.case.loader])
        ax.set_title(short(title, TITLE), loc="left", fontsize=9, fontweight="bold")
        ax.set_ylim(bottom=0)
        ax.set_xlim(-0.4, len(history.runs) - 0.6)
        ax.set_xticks(
            range(len(history.runs)), [each.started[:10] for each in history.runs], rotation=30
        )
        ax.tick_params(labelsize=7)
        ax.set_ylabel(f"AU (median, {CONFIDENCE:.0%} interval)", fontsize=8)
        ax.grid(axis="y", color=GRID, linewidth=0.8)
        ax.set_axisbelow(True)
    ring: dict[str, Any] = {"color": INK, "marker": "o", "markerfacecolor": "none"}
    notes = [
        Line2D([], [], linestyle="", label="changed", **ring),
        Line2D([], [], linestyle="", alpha=0.4, label="possibly changed", **ring),
    ]
    shared_legend(figure, notes, columns=5)
    return figure


def _place(series: Series) -> str:
    case = series.case
    step = "" if case.step_ms is None else f", steps of {case.step_ms:g} ms"
    return f"{case.bench}, {describe(case)}{step}"


def _line(ax: Axes, xs: Sequence[int], series: Series, style: Style) -> None:
    figures = [figure.utilization for figure in series.figures]
    points = [(x, au) for x, au in zip(xs, figures, strict=True) if au is not None]
    if not points:
        return
    workers = series.case.num_workers
    interval_line(
        ax,
        points,
        style,
        markersize=4,
        linestyle="--" if workers else "-",
        linewidth=1.2,
        elinewidth=0.7,
        label=short(row_label(series.case.loader, workers)),
    )
    for point in series.changes:
        au = figures[point.position]
        if au is None:
            continue
        sure = point.certainty == CHANGED
        ax.plot(
            xs[point.position],
            au.median,
            marker="o",
            markersize=12,
            markerfacecolor="none",
            color=INK if sure else GREY,
            alpha=1 if sure else 0.4,
            linestyle="",
        )
