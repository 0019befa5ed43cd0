"""Parts that several plots share: panels, lines with intervals, labels of points, legends."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.transforms import Bbox

from keras_loader_bench.bench.report.plots.plot_layout import Style, new_figure
from keras_loader_bench.bench.statistics import Estimate

_LEAST_WIDTH = 6.4

_PLACES = ((6, 4), (-6, -4), (6, -4), (-6, 4), (0, 9), (0, -9), (6, 14), (-6, -14))
"""Places of a label, in points from its point; the first free one is used."""


def panel_grid(
    count: int,
    *,
    columns: int,
    size: tuple[float, float],
    margin: float,
    least_width: float = _LEAST_WIDTH,
    sharey: bool = False,
) -> tuple[Figure, list[Axes]]:
    """Return a figure with a grid of panels, and the axes of the panels.

    Args:
        count: number of panels.
        columns: most panels in one line of the grid.
        size: width and height of a panel, in inches.
        margin: height added for the legend and titles, in inches.
        least_width: smallest width of the figure, in inches.
        sharey: whether all panels share one vertical axis.
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
        ax: the axes to draw on.
        points: pairs of x and its estimate, sorted by x.
        style: colour and marker.
        scale: one unit of the axis, in the unit of the estimates.
        look: more arguments for Matplotlib's `errorbar`.
    """
    xs, estimates = zip(*points, strict=True)
    medians = [each.median / scale for each in estimates]
    ends = [[end / scale for end in each.ends] for each in estimates]
    below = [median - low for median, (low, _) in zip(medians, ends, strict=True)]
    above = [high - median for median, (_, high) in zip(medians, ends, strict=True)]
    ax.errorbar(
        xs, medians, yerr=[below, above], color=style.color, marker=style.marker, capsize=2, **look
    )


def label_points(ax: Axes, points: Sequence[tuple[float, float, str]]) -> None:
    """Write a text next to each point, where it covers no marker and no earlier text.

    Args:
        ax: axes with their final limits; all markers are drawn.
        points: x, y and text. The texts are placed in this order.
    """
    figure = ax.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # lays the figure out: sizes in pixels are known from here on
    taken = [
        Bbox.from_bounds(x - 6, y - 6, 12, 12)
        for line in ax.lines
        if line.get_linestyle() == "None"
        for x, y in ax.transData.transform(line.get_xydata())
    ]
    for x, y, text in points:
        found: list[tuple[float, Annotation, Bbox]] = []
        for dx, dy in _PLACES:
            label = ax.annotate(
                text,
                (x, y),
                (dx, dy),
                textcoords="offset points",
                fontsize=7.5,
                ha="left" if dx > 0 else "right" if dx < 0 else "center",
                va="bottom" if dy > 0 else "top" if dy < 0 else "center",
            )
            box = label.get_window_extent()
            inside = Bbox.intersection(box, ax.bbox)
            outside = 1 - (inside.width * inside.height if inside else 0) / (box.width * box.height)
            overlaps = sum(box.overlaps(other) for other in taken)
            found.append((overlaps + outside, label, box))
        _, best, box = min(found, key=lambda each: each[0])
        for _, label, _ in found:
            if label is not best:
                label.remove()
        taken.append(box)


def shared_legend(figure: Figure, notes: Sequence[Artist] = (), *, columns: int) -> None:
    """Draw one legend for all panels; a label that several panels use appears once.

    Args:
        figure: the figure, with all panels drawn.
        notes: more entries.
        columns: most columns; fewer are used where the figure is too narrow.
    """
    handles: dict[object, Artist] = {}
    for ax in figure.axes:
        for handle in ax.get_legend_handles_labels()[0]:
            handles.setdefault(handle.get_label(), handle)
    for fewer in range(columns, 0, -1):
        legend = figure.legend(
            handles=[*handles.values(), *notes],
            loc="outside lower center",
            ncols=fewer,
            frameon=False,
        )
        if fewer == 1 or legend.get_window_extent().width <= figure.bbox.width:
            break
        legend.remove()
