"""The plot of encoded images: feed rates by container, beside decoding alone."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from keras_loader_bench.bench.report.encoded_figures import Decoding, Fed
from keras_loader_bench.bench.report.plot_layout import (
    GREY,
    GRID,
    INK,
    TITLE,
    Styles,
    lighter,
    short,
)
from keras_loader_bench.bench.report.plot_parts import panel_grid
from keras_loader_bench.bench.statistics import CONFIDENCE

_ROW_INCHES = 0.34

OTHER = 0.7
"""Share of white in the bars of loaders with other pixels."""


def encoded_figure(found: Sequence[Decoding], styles: Styles) -> Figure | None:
    """Draw the feed rates of loaders that decode, a panel per set of options; `None` without any.

    Args:
        found: the result of `decodings`.
        styles: the styles of the loaders.
    """
    panels = [(each, _by_container(each)) for each in found]
    panels = [(each, lines) for each, lines in panels if lines]
    if not panels:
        return None
    most = max(len(lines) for _, lines in panels)
    size = (6.4, 0.9 + _ROW_INCHES * most)
    figure, axes = panel_grid(len(panels), columns=1, size=size, margin=0.4)
    for ax, (each, lines) in zip(axes, panels, strict=True):
        _panel(ax, each, lines, styles)
    handles = [
        Patch(facecolor=GREY, label="median"),
        Patch(facecolor=lighter(GREY, OTHER), edgecolor=GREY, label="other pixels"),
        Line2D([], [], color=INK, marker="|", linewidth=1.2, label=f"{CONFIDENCE:.0%} interval"),
        Line2D([], [], color=GREY, linewidth=1, linestyle="--", label="decoding alone"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
    return figure


def _by_container(found: Decoding) -> list[str | Fed]:
    """Return what stands on each line: the name of a container, or a loader that reads it."""
    known = [each for each in found.loaders if each.rate and each.share]
    lines: list[str | Fed] = []
    # Containers in the order of their fastest loader; `sorted` keeps that of the loaders.
    order = list(dict.fromkeys(each.container for each in known))
    by_container = sorted(known, key=lambda each: order.index(each.container))
    for container, loaders in groupby(by_container, key=lambda each: each.container):
        lines += [container, *loaders]
    return lines


def _panel(ax: Axes, found: Decoding, lines: Sequence[str | Fed], styles: Styles) -> None:
    reach = 0.0
    for y, each in enumerate(lines):
        if isinstance(each, str) or each.rate is None:
            continue
        bar = styles[each.loader].bar
        if each.pixels != "identical":
            bar = {"facecolor": lighter(bar["facecolor"], OTHER), "edgecolor": bar["facecolor"]}
        ax.barh(y, each.rate.median, height=0.7, **bar)
        if each.rate.low is not None:
            ax.plot(each.rate.ends, [y, y], color=INK, marker="|", linewidth=1.2)
        reach = max(reach, each.rate.ends[1])
    if found.rate is not None:
        ax.axvline(found.rate.median, color=GREY, linewidth=1, linestyle="--")
        ax.axvspan(*found.rate.ends, color=GREY, alpha=0.12, linewidth=0)
        reach = max(reach, found.rate.ends[1])
    names = [each if isinstance(each, str) else short(each.label) for each in lines]
    ax.set_yticks(range(len(lines)), names, parse_math=False)
    for each, tick in zip(lines, ax.yaxis.get_major_ticks(), strict=True):
        if isinstance(each, str):
            tick.label1.set_fontweight("bold")
    ax.set_ylim(len(lines) - 0.4, -0.6)
    ax.set_xlim(0, 1.05 * reach)
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x", color=GRID, linewidth=0.8)
    ax.set_axisbelow(True)
    ax.set_xlabel("images per second through fit, null model")
    title = short(f"Feed rate by container: {found.options}", TITLE)
    ax.set_title(title, loc="left", fontsize=10, fontweight="bold")
