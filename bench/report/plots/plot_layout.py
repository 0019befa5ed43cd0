"""The layout of rows in plots, and the colours, markers and hatches of loaders."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb, to_rgba
from matplotlib.figure import Figure

from keras_loader_bench.bench.report import cells
from keras_loader_bench.bench.report.figures.row_options import describe, differing
from keras_loader_bench.bench.report.figures.rows import Row
from keras_loader_bench.bench.report.ranking import by_config

COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#999999", "#F0E442")
"""Okabe and Ito's palette, which is safe for all common forms of colour blindness."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")

HATCHES = ("", "////", "....", "xxxx", "\\\\\\\\", "++++", "----", "oooo")

INK = "black"
GREY = "#555555"
GRID = "#dddddd"

DPI = 144
"""Dots per inch of PNG files: 1.5 per CSS pixel, so that they are sharp on most screens."""

LABEL, TITLE = 40, 70
"""Most characters of a label and of a title, so that the plot has room."""

ROW_INCHES = 0.34
"""Height of a row of bars."""


@dataclass(frozen=True, kw_only=True)
class Style:
    """How a loader is drawn in every plot, never by colour alone."""

    color: str
    marker: str
    hatch: str

    @property
    def bar(self) -> dict[str, Any]:
        """The fill of its bars."""
        return {
            "facecolor": self.color,
            "edgecolor": "white",
            "hatch": self.hatch or None,
            "linewidth": 0,
        }


Styles = Mapping[str, Style]
"""The styles by loader, for all options and workers."""


def loader_styles(loaders: Iterable[str], known: Sequence[str] = ()) -> dict[str, Style]:
    """Assign a style to every loader.

    Args:
        loaders: the loaders of a run.
        known: all registered loaders in a fixed order, so that a loader looks the same in every
            run. Older runs do not record them.
    """
    names = list(dict.fromkeys([*known, *sorted(set(loaders))]))
    return {
        name: Style(
            color=COLORS[i % len(COLORS)],
            marker=MARKERS[i % len(MARKERS)],
            hatch=HATCHES[i % len(HATCHES)],
        )
        for i, name in enumerate(names)
    }


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The vertical axis of a plot, the same in all plots of a run."""

    positions: Sequence[int]
    """The position of each row, from the top."""

    labels: Sequence[str]
    """The label of each row."""

    headings: Mapping[int, str]
    """Headings by position: the options of the rows below; empty if all rows share them."""

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Self:
        """Lay out rows in groups that are compared, each with a heading."""
        names, groups = differing(rows), by_config(rows)
        positions: list[int] = []
        headings: dict[int, str] = {}
        for group in groups:
            start = positions[-1] + 1 if positions else 0
            if len(groups) > 1:
                headings[start] = short(describe(group[0], names), TITLE)
                start += 1
            positions += range(start, start + len(group))
        return cls(
            positions=positions,
            labels=[short(row.label) for row in rows],
            headings=headings,
        )

    def figure(self, width: float, *, legend: bool) -> Figure:
        """Return an empty figure with enough height for all rows."""
        height = 1.0 + 0.35 * legend + ROW_INCHES * max(self.positions[-1] + 1, 2)
        return new_figure(width, height)

    def prepare(self, ax: Axes, title: str, unit: str) -> None:
        """Put labels, headings and lines between groups on axes."""
        labels = dict(zip(self.positions, self.labels, strict=True)) | dict(self.headings)
        ticks = dict(sorted(labels.items()))
        ax.set_yticks(list(ticks), list(ticks.values()), parse_math=False)
        for position, tick in zip(ticks, ax.yaxis.get_major_ticks(), strict=True):
            if position in self.headings:
                tick.label1.set_fontweight("bold")
        ax.set_ylim(self.positions[-1] + 0.6, -0.6)
        ax.tick_params(axis="y", length=0)
        ax.grid(axis="x", color=GRID, linewidth=0.8)
        ax.axvline(0, color=GREY, linewidth=1)
        for y in list(self.headings)[1:]:  # only rows of one group are compared
            ax.axhline(y - 0.5, color="#999999", linewidth=0.8)
        ax.set_axisbelow(True)
        ax.set_xlabel(unit)
        ax.set_title(title, loc="left", fontsize=10, fontweight="bold")


def short(text: str, room: int = LABEL) -> str:
    """Shorten untrusted text for a plot, in characters that every font has."""
    line = cells.ascii_line(text)
    return line if len(line) <= room else f"{line[: room - 2]}.."


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches."""
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def lighter(color: str, share: float) -> str:
    """Mix a colour with white."""
    red, green, blue = (channel + (1 - channel) * share for channel in to_rgb(color))
    return to_hex((red, green, blue))


def page_cache_style(color: str) -> dict[str, Any]:
    """Return the fill for page cache, which the kernel can reclaim."""
    return {
        "facecolor": to_rgba(color, 0.2),
        "edgecolor": color,
        "linestyle": ":",
        "linewidth": 0.8,
    }
