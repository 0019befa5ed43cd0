"""The plot of encoded images: feed rates by container, beside decoding alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from keras_loader_bench.bench.report.figures.encoded_figures import Decoding, Fed
from keras_loader_bench.bench.report.plots.plot_layout import (
    GREY,
    INK,
    ROW_INCHES,
    TITLE,
    Layout,
    Styles,
    lighter,
    short,
)
from keras_loader_bench.bench.report.plots.plot_parts import panel_grid
from keras_loader_bench.bench.statistics import CONFIDENCE

OTHER = 0.7
"""Share of white in the bars of loaders with other pixels."""


def encoded_figure(found: Sequence[Decoding], styles: Styles) -> Figure | None:
    """Draw the feed rates of loaders that decode, a panel per set of options; `None` without any.

    Args:
        found: the result of `decodings`.
        styles: the styles of the loaders.
    """
    panels = [(each, loaders) for each in found if (loaders := _by_container(each))]
    if not panels:
        return None
    layouts = [_layout(loaders) for _, loaders in panels]
    most = max(layout.positions[-1] + 1 for layout in layouts)
    size = (6.4 if len(panels) == 1 else 4.4, 0.9 + ROW_INCHES * most)
    figure, axes = panel_grid(len(panels), columns=3, size=size, margin=0.4)
    for ax, (each, loaders), layout in zip(axes, panels, layouts, strict=True):
        # Panels beside each other leave less room.
        title = each.options if len(panels) > 1 else f"Feed rate by container: {each.options}"
        layout.prepare(ax, short(title, TITLE), "images per second through fit, null model")
        _panel(ax, each, dict(zip(layout.positions, loaders, strict=True)), styles)
    handles = [
        Patch(facecolor=GREY, label="median"),
        Patch(facecolor=lighter(GREY, OTHER), edgecolor=GREY, label="other pixels"),
        Line2D([], [], color=INK, marker="|", linewidth=1.2, label=f"{CONFIDENCE:.0%} interval"),
        Line2D([], [], color=GREY, linewidth=1, linestyle="--", label="decoding alone"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
    return figure


def _by_container(found: Decoding) -> list[Fed]:
    """Return the loaders that decode, those of a container together."""
    known = [each for each in found.loaders if each.feed.rate and each.share]
    # Containers in the order of their fastest loader; `sorted` keeps that of the loaders.
    order = list(dict.fromkeys(each.container for each in known))
    return sorted(known, key=lambda each: order.index(each.container))


def _layout(loaders: Sequence[Fed]) -> Layout:
    """Lay out loaders below the names of their containers."""
    headings: dict[int, str] = {}
    positions: list[int] = []
    for container, group in groupby(loaders, key=lambda each: each.container):
        start = positions[-1] + 1 if positions else 0
        headings[start] = container
        positions += range(start + 1, start + 1 + len(list(group)))
    labels = [short(each.label) for each in loaders]
    return Layout(positions=positions, labels=labels, headings=headings)


def _panel(ax: Axes, found: Decoding, loaders: Mapping[int, Fed], styles: Styles) -> None:
    reach = 0.0
    for y, each in loaders.items():
        assert each.feed.rate is not None, "loaders without a rate are left out"
        bar = styles[each.loader].bar
        if each.pixels != "identical":
            bar = {"facecolor": lighter(bar["facecolor"], OTHER), "edgecolor": bar["facecolor"]}
        ax.barh(y, each.feed.rate.median, height=0.7, **bar)
        if each.feed.rate.low is not None:
            ax.plot(each.feed.rate.ends, [y, y], color=INK, marker="|", linewidth=1.2)
        reach = max(reach, each.feed.rate.ends[1])
    if found.rate is not None:
        ax.axvline(found.rate.median, color=GREY, linewidth=1, linestyle="--")
        ax.axvspan(*found.rate.ends, color=GREY, alpha=0.12, linewidth=0)
        reach = max(reach, found.rate.ends[1])
    ax.set_xlim(0, 1.05 * reach)
