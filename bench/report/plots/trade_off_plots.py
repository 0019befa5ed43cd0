"""The trade-off plots: feed rate against workers, and feed rate against footprint."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from keras_loader_bench.bench.report.figures.pareto import pareto_front
from keras_loader_bench.bench.report.figures.row_options import describe, differing
from keras_loader_bench.bench.report.figures.rows import Row, not_skipped
from keras_loader_bench.bench.report.plots.plot_layout import GREY, GRID, INK, TITLE, Styles, short
from keras_loader_bench.bench.report.plots.plot_parts import (
    interval_line,
    label_points,
    panel_grid,
    shared_legend,
)
from keras_loader_bench.bench.report.ranking import by_config
from keras_loader_bench.bench.statistics import CONFIDENCE

_COLUMNS = 3
_MIB = 2**20


def workers_figure(rows: Sequence[Row], styles: Styles) -> Figure | None:
    """Draw feed rate against the number of workers; `None` if no loader has two numbers.

    The ideal line of a loader is its rate without workers, multiplied by the number of workers.
    """
    groups = [group for group in by_config(not_skipped(rows)) if _lines(group)]
    if not groups:
        return None
    figure, axes = _panels(groups)
    for ax, group in zip(axes, groups, strict=True):
        lines, tops = _lines(group), []
        for line in lines:
            style = styles[line[0].loader]
            rates = [(row.num_workers, row.feed.rate) for row in line if row.feed and row.feed.rate]
            label = short(line[0].loader)
            interval_line(ax, rates, style, scale=1000, elinewidth=0.8, label=label)
            (fewest, base), (most, _) = rates[0], rates[-1]
            if fewest == 0:
                ideal = [base.median / 1000 * max(1, x) for x in range(most + 1)]
                ax.plot(range(most + 1), ideal, color=style.color, linestyle=":", linewidth=1)
            tops.append(max(rate.ends[1] for _, rate in rates) / 1000)
        ax.set_ylim(0, 1.15 * max(tops))
        ax.set_xticks(sorted({row.num_workers for line in lines for row in line}))
        ax.set_xlabel("workers")
        ax.grid(axis="y", color=GRID, linewidth=0.8)
        ax.set_axisbelow(True)
    axes[0].set_ylabel(f"thousand samples per second\n(median, {CONFIDENCE:.0%} interval)")
    ideal_line = Line2D(
        [], [], color=GREY, linestyle=":", label="ideal: workers x rate at 0 workers"
    )
    shared_legend(figure, [ideal_line], columns=5)
    return figure


def _rate(row: Row) -> float | None:
    case = row.feed
    return case.rate.median if case and case.rate and case.outcome == "ok" else None


def _lines(group: Sequence[Row]) -> list[list[Row]]:
    """Return the rows of each loader that has feed rates for several numbers of workers."""
    fed = [row for row in group if _rate(row)]
    lines = (list(line) for _, line in groupby(fed, key=lambda row: row.loader))
    return [line for line in lines if len(line) > 1]


def pareto_figure(rows: Sequence[Row], styles: Styles) -> Figure | None:
    """Draw feed rate against footprint, with the Pareto front; `None` with fewer than two rows."""
    groups = [
        [row for row in group if _rate(row) and row.footprint_bytes is not None]
        for group in by_config(not_skipped(rows))
    ]
    groups = [group for group in groups if len(group) > 1]
    if not groups:
        return None
    figure, axes = _panels(groups)
    for ax, group in zip(axes, groups, strict=True):
        front = pareto_front(group)
        for row in group:
            style, proven = styles[row.loader], row.may_be_ranked(row.feed)
            ax.plot(
                _mib(row),
                (_rate(row) or 0) / 1000,
                color=style.color,
                marker=style.marker,
                markersize=7,
                markerfacecolor=style.color if proven else "none",
                markeredgewidth=1.4 if row.num_workers else 0.6,
                markeredgecolor=INK if row.num_workers and proven else style.color,
                linestyle="",
                label=short(row.loader),
            )
        xs, ys = [_mib(row) for row in front], [(_rate(row) or 0) / 1000 for row in front]
        ax.step(xs, ys, where="post", color=GREY, linestyle="--", linewidth=1, zorder=0)
        ax.set_ylim(0, 1.2 * max(_rate(row) or 0 for row in group) / 1000)
        ax.set_xscale("log")
        ends = [_mib(row) for row in group]
        ax.set_xlim(min(ends) / 4, max(ends) * 4)
        ax.xaxis.set_major_formatter(FuncFormatter(lambda size, _: f"{size:,.0f}"))
        ax.minorticks_off()
        ax.set_xlabel("footprint (MiB)")
        ax.grid(color=GRID, linewidth=0.6)
        ax.set_axisbelow(True)
    axes[0].set_ylabel("thousand samples per second")
    dot: dict[str, Any] = {"color": GREY, "marker": "o", "linestyle": ""}
    notes = [Line2D([], [], color=GREY, linestyle="--", label="Pareto front (labelled)")]
    drawn = [row for group in groups for row in group]
    if any(row.num_workers for row in drawn):
        notes.append(Line2D([], [], **dot, markeredgecolor=INK, label="with workers"))
    if not all(row.may_be_ranked(row.feed) for row in drawn):
        text = "batches not proven identical"
        notes.append(Line2D([], [], **dot, markerfacecolor="none", label=text))
    shared_legend(figure, notes, columns=5)
    for ax, group in zip(axes, groups, strict=True):
        label_points(
            ax,
            [
                (_mib(row), (_rate(row) or 0) / 1000, short(row.label))
                for row in pareto_front(group)
            ],
        )
    return figure


def _mib(row: Row) -> float:
    return max(row.footprint_bytes or 0, _MIB) / _MIB


def _panels(groups: Sequence[Sequence[Row]]) -> tuple[Figure, list[Axes]]:
    """Return a figure with a panel per group of rows, titled with the options that differ."""
    names = differing(group[0] for group in groups)
    figure, axes = panel_grid(len(groups), columns=_COLUMNS, size=(4.0, 3.2), margin=0.9)
    for ax, group in zip(axes, groups, strict=True):
        title = describe(group[0], names or ("backend", "batch_size"))
        ax.set_title(short(title, TITLE), loc="left", fontsize=10, fontweight="bold")
    return figure, axes
