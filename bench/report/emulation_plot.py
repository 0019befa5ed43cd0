"""The plot of the emulated accelerator: AU against the time of a step.

Must not know: how figures are derived, files.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.report import cells
from bench.report.emulation import BUSY_AU, Emulation
from bench.report.memory_plots import MARKERS
from bench.report.options import describe, differing
from bench.report.plot_layout import GREY, loader_colors, new_figure
from bench.statistics import CONFIDENCE


def emulation_figure(found: Sequence[Emulation]) -> Figure | None:
    """Draw AU against step time, a panel for each set of options; `None` without any.

    Args:
        found: what `emulations` returned.
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
    colors = loader_colors(each.row.loader for each in found)
    markers = {name: MARKERS[i % len(MARKERS)] for i, name in enumerate(colors)}
    figure = new_figure(max(4.4 * len(panels), 6.4), 4.2)
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for ax, (title, group) in zip(axes, panels.items(), strict=True):
        for each in group:
            _line(ax, each, colors[each.row.loader], markers[each.row.loader])
        _prepare(ax, cells.ascii_line(title), sorted({s for e in group for s in e.measured}))
    axes[0].set_ylabel(f"AU (median, {CONFIDENCE:.0%} interval)")
    handles = {
        handle.get_label(): handle for ax in axes for handle in ax.get_legend_handles_labels()[0]
    }
    figure.legend(
        handles=list(handles.values()), loc="outside lower center", ncols=4, frameon=False
    )
    return figure


def _line(ax: Axes, each: Emulation, color: str, marker: str) -> None:
    steps = sorted(each.measured)
    known = [each.measured[step].utilization for step in steps]
    medians = [au.median for au in known if au is not None]
    low = [au.median - (au.median if au.low is None else au.low) for au in known if au]
    high = [(au.median if au.high is None else au.high) - au.median for au in known if au]
    ax.errorbar(
        steps,
        medians,
        yerr=[low, high],
        color=color,
        marker=marker,
        markersize=5,
        linestyle="--" if each.row.num_workers else "-",
        linewidth=1.4,
        elinewidth=0.8,
        capsize=2,
        label=cells.ascii_line(each.row.label),
    )


def _prepare(ax: Axes, title: str, steps: Sequence[float]) -> None:
    ax.set_xscale("log")
    ax.set_xticks(steps, [f"{step:g}" for step in steps])
    ax.minorticks_off()
    ax.set_ylim(0, 1.15)
    ax.axhline(BUSY_AU, color=GREY, linewidth=1, linestyle=":", label=f"kept busy: AU {BUSY_AU:g}")
    ax.grid(axis="y", color="#dddddd", linewidth=0.8)
    ax.set_axisbelow(True)
    ax.set_xlabel("time of an emulated step (ms)")
    ax.set_title(title, loc="left", fontsize=10, fontweight="bold")
