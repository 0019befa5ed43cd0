"""What several plots draw alike: panels, lines with intervals, and one legend for all panels.

Must not know: rows, cases, files.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from keras_loader_bench.bench.report.plot_layout import Style, new_figure
from keras_loader_bench.bench.statistics import Estimate

_LEAST_WIDTH = 6.4


def panel_grid(
    count: int,
    *,
    columns: int,
    size: tuple[float, float],
    margin: float,
    least_width: float = _LEAST_WIDTH,
    sharey: bool = False,
) -> tuple[Figure, list[Axes]]:
    """Return a figure with so many panels, line by line, and their axes.

    Args:
        count: of panels.
        columns: panels side by side, at most.
        size: width and height of a panel, in inches.
        margin: inches above and below all panels.
        least_width: of the figure, in inches.
        sharey: whether all have the same vertical axis.
    """
    columns = min(columns, count)
    lines = math.ceil(count / columns)
    figure = new_figure(max(least_width, size[0] * columns), margin + size[1] * lines)
    grid = figure.subplots(lines, columns, sharey=sharey, squeeze=False)
    for ax in grid.flat[count:]:
        ax.set_visible(False)
    return figure, list(grid.flat[:count])


def interval_line(
    ax: Axes,
    points: Iterable[tuple[float, Estimate]],
    style: Style,
    *,
    scale: float = 1.0,
    **look: Any,
) -> None:
    """Draw medians as a line, with their intervals.

    Args:
        ax: where.
        points: x and the estimate there, by x.
        style: colour and marker.
        scale: what one of the axis is, in the unit of the estimates.
        look: further settings of Matplotlib's `errorbar`.
    """
    xs, estimates = zip(*points, strict=True)
    medians = [each.median / scale for each in estimates]
    ends = [[end / scale for end in each.ends] for each in estimates]
    below = [median - low for median, (low, _) in zip(medians, ends, strict=True)]
    above = [high - median for median, (_, high) in zip(medians, ends, strict=True)]
    ax.errorbar(
        xs, medians, yerr=[below, above], color=style.color, marker=style.marker, capsize=2, **look
    )


def shared_legend(figure: Figure, notes: Sequence[Artist] = (), *, columns: int) -> None:
    """Name each line once, whatever panels it is in, and then what else is drawn.

    Args:
        figure: with all its panels drawn.
        notes: further entries.
        columns: of the legend.
    """
    handles = {
        handle.get_label(): handle
        for ax in figure.axes
        for handle in ax.get_legend_handles_labels()[0]
    }
    figure.legend(
        handles=[*handles.values(), *notes],
        loc="outside lower center",
        ncols=columns,
        frameon=False,
    )
