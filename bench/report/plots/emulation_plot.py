"""The plot of the emulated accelerator: AU against step time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from keras_loader_bench.bench.report.figures.emulation import BUSY_AU, Emulation
from keras_loader_bench.bench.report.figures.row_options import describe, differing
from keras_loader_bench.bench.report.plots.plot_layout import (
    GREY,
    GRID,
    TITLE,
    Style,
    Styles,
    short,
)
from keras_loader_bench.bench.report.plots.plot_parts import (
    interval_line,
    panel_grid,
    shared_legend,
)
from keras_loader_bench.bench.statistics import CONFIDENCE

_COLUMNS = 3


def emulation_figure(found: Sequence[Emulation], styles: Styles) -> Figure | None:
    """Draw AU against step time, a panel for each set of options; `None` without any.

    Args:
        found: the result of `emulations`.
        styles: the styles of the loaders.
    """
    found = [each for each in found if each.measured]
    if not found:
        return None
    names = differing(each.row for each in found)
    panels: defaultdict[str, list[Emulation]] = defaultdict(list)
    for each in found:
        kind = "step keeps a core busy" if each.busy else "step sleeps"
        place = describe(each.row, names or ("backend", "batch_size"))
        panels[f"{place}, {kind}"].append(each)
    figure, axes = panel_grid(
        len(panels), columns=_COLUMNS, size=(4.4, 3.4), margin=0.8, sharey=True
    )
    for ax, (title, group) in zip(axes, panels.items(), strict=True):
        for each in group:
            _line(ax, each, styles[each.row.loader])
        _prepare(ax, short(title, TITLE), sorted({s for e in group for s in e.measured}))
    for ax in axes[::_COLUMNS]:
        ax.set_ylabel(f"AU (median, {CONFIDENCE:.0%} interval)")
    shared_legend(figure, columns=4)
    return figure


def _line(ax: Axes, each: Emulation, style: Style) -> None:
    known = ((step, each.measured[step].utilization) for step in sorted(each.measured))
    interval_line(
        ax,
        [(step, au) for step, au in known if au is not None],
        style,
        markersize=5,
        linestyle="--" if each.row.num_workers else "-",
        linewidth=1.4,
        elinewidth=0.8,
        label=short(each.row.label),
    )


def _prepare(ax: Axes, title: str, steps: Sequence[float]) -> None:
    ax.set_xscale("log")
    ax.set_xticks(steps, [f"{step:g}" for step in steps])
    ax.minorticks_off()
    ax.set_ylim(0, 1.15)
    ax.axhline(BUSY_AU, color=GREY, linewidth=1, linestyle=":", label=f"kept busy: AU {BUSY_AU:g}")
    ax.grid(axis="y", color=GRID, linewidth=0.8)
    ax.set_axisbelow(True)
    ax.set_xlabel("emulated step time (ms)")
    ax.set_title(title, loc="left", fontsize=10, fontweight="bold")
