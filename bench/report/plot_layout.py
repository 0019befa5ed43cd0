"""Where a plot puts its rows, and how each is told apart: place, label, colour, hatch.

Must not know: figures of cases, files.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from bench.report import cells
from bench.report.options import describe, differing
from bench.report.ranking import by_config
from bench.report.rows import Row

COLORS = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#999999", "#F0E442")
"""Okabe and Ito's palette, which stays apart under every common form of colour blindness."""

GREY = "#555555"

_ROW_INCHES = 0.34
_WORKERS_HATCH = ".."


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The vertical axis of a plot, the same in all plots of a run."""

    positions: Sequence[int]
    """Where each row stands, from the top."""

    labels: Sequence[str]
    """What stands beside each row."""

    headings: Mapping[int, str]
    """Position -> the options of the rows below it; empty where all rows have the same."""

    colors: Mapping[str, str]
    """Loader -> its colour, whatever its options and workers."""

    workers: bool
    """Whether any row has workers."""

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Self:
        """Lay out rows; those under one heading are compared with each other."""
        names, groups = differing(rows), by_config(rows)
        positions: list[int] = []
        headings: dict[int, str] = {}
        for group in groups:
            start = positions[-1] + 1 if positions else 0
            if len(groups) > 1:
                headings[start] = cells.ascii_line(describe(group[0], names))
                start += 1
            positions += range(start, start + len(group))
        return cls(
            positions=positions,
            labels=[cells.ascii_line(row.label) for row in rows],
            headings=headings,
            colors=loader_colors(row.loader for row in rows),
            workers=any(row.num_workers for row in rows),
        )

    def figure(self, width: float, *, legend: bool) -> Figure:
        """Return an empty figure that is high enough for all rows."""
        height = 1.0 + 0.35 * legend + _ROW_INCHES * max(self.positions[-1] + 1, 2)
        return new_figure(width, height)

    def prepare(self, ax: Axes, title: str, unit: str) -> None:
        """Put labels, headings and lines between groups on axes."""
        ticks = dict(zip(self.positions, self.labels, strict=True)) | dict(self.headings)
        ax.set_yticks(list(ticks), list(ticks.values()), parse_math=False)
        for position, tick in zip(ticks, ax.yaxis.get_major_ticks(), strict=True):
            if position in self.headings:
                tick.label1.set_fontweight("bold")
        ax.set_ylim(self.positions[-1] + 0.6, -0.6)
        ax.tick_params(axis="y", length=0)
        ax.grid(axis="x", color="#dddddd", linewidth=0.8)
        ax.axvline(0, color=GREY, linewidth=1)
        for y in list(self.headings)[1:]:  # only rows between two lines are compared
            ax.axhline(y - 0.5, color="#999999", linewidth=0.8)
        ax.set_axisbelow(True)
        ax.set_xlabel(unit)
        ax.set_title(title, loc="left", fontsize=10, fontweight="bold")

    def legend(self) -> list[Patch]:
        """Return what the hatch means, if there is one."""
        return [Patch(**_style(GREY, workers=True), label="with workers")] if self.workers else []


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of so many inches."""
    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def bar_style(row: Row, color: str) -> dict[str, Any]:
    """Return how a row's bar is filled: with workers it is hatched."""
    return _style(color, workers=bool(row.num_workers))


def lighter(color: str, share: float) -> str:
    """Mix a colour with white."""
    red, green, blue = (channel + (1 - channel) * share for channel in to_rgb(color))
    return to_hex((red, green, blue))


def page_cache_style(color: str) -> dict[str, Any]:
    """Return how memory is filled that the kernel takes back."""
    return {"facecolor": lighter(color, 0.85), "edgecolor": color, "hatch": "////", "linewidth": 0}


def loader_colors(loaders: Iterable[str]) -> dict[str, str]:
    """Return loader -> colour, the same in all plots of a run."""
    return {name: COLORS[i % len(COLORS)] for i, name in enumerate(sorted(set(loaders)))}


def _style(color: str, *, workers: bool) -> dict[str, Any]:
    if not workers:
        return {"facecolor": color}
    return {"facecolor": color, "edgecolor": "white", "hatch": _WORKERS_HATCH, "linewidth": 0}
