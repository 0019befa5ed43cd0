"""The plot of a comparison: ratios of rate and AU per case."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from keras_loader_bench.bench.compare.change import FASTER, REFUSED, SLOWER, Change
from keras_loader_bench.bench.compare.ratio import Ratio
from keras_loader_bench.bench.report import cells
from keras_loader_bench.bench.report.plots.plot_layout import COLORS, GREY, GRID, new_figure
from keras_loader_bench.bench.statistics import CONFIDENCE

_MARKS = (
    ("rate", "o", COLORS[0], -0.14),
    ("utilization", "s", COLORS[1], 0.14),
)
"""Field of `Change`, marker, colour, and how far below the case's line it stands."""

_TICKS = (0.1, 0.2, 0.5, 0.7, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 2, 5, 10)

_NAMES = {"rate": "rate", "utilization": "AU"}


def ratio_figure(changes: Sequence[Change]) -> Figure | None:
    """Draw the ratios after / before with their intervals; `None` without any.

    Cases that must not be compared are left out. Marks are filled where a case is faster or slower.

    Args:
        changes: in the order in which they are drawn, from the top.
    """
    drawn = [each for each in changes if each.rate is not None and each.verdict != REFUSED]
    if not drawn:
        return None
    figure = new_figure(8.0, 1.3 + 0.36 * len(drawn))
    ax = figure.subplots()
    for y, change in enumerate(drawn):
        clear = change.verdict in (FASTER, SLOWER)
        for name, marker, color, offset in _MARKS:
            ratio: Ratio | None = getattr(change, name)
            if ratio is None:
                continue
            low = ratio.value if ratio.low is None else ratio.low
            high = ratio.value if ratio.high is None else ratio.high
            ax.errorbar(
                ratio.value,
                y + offset,
                xerr=[[ratio.value - low], [high - ratio.value]],
                color=color,
                marker=marker,
                markersize=5,
                markerfacecolor=color if clear else "none",
                capsize=2,
                elinewidth=1,
            )
    ax.axvline(1, color=GREY, linewidth=1)
    ax.set_xscale("log")
    ax.minorticks_off()
    low, high = ax.get_xlim()
    shown = [tick for tick in _TICKS if low <= tick <= high]
    ax.set_xticks(shown, [f"{tick:g}" for tick in shown])
    labels = [cells.ascii_line(f"{change.pair.id}: {change.verdict}") for change in drawn]
    ax.set_yticks(range(len(drawn)), labels, parse_math=False, fontsize=8)
    ax.set_ylim(len(drawn) - 0.5, -0.5)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", color=GRID, linewidth=0.8)
    ax.set_axisbelow(True)
    ax.set_xlabel(f"after / before ({CONFIDENCE:.0%} interval)")
    handles = [
        Line2D([], [], color=color, marker=marker, label=_NAMES[name])
        for name, marker, color, _ in _MARKS
    ]
    note = Line2D(
        [], [], color=GREY, marker="o", markerfacecolor="none", linestyle="", label="not clear"
    )
    figure.legend(handles=[*handles, note], loc="outside lower center", ncols=3, frameon=False)
    return figure
