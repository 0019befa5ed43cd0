"""The plots of a report: which there are, what they show, and their files.

Each is one function in a module of its kind. Must not know: how figures are derived, who looks.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from PIL import Image

from keras_loader_bench.bench.record.schema import Run
from keras_loader_bench.bench.report.bar_plots import (
    footprint_figure,
    rates_figure,
    utilization_figure,
)
from keras_loader_bench.bench.report.emulation import emulations
from keras_loader_bench.bench.report.emulation_plot import emulation_figure
from keras_loader_bench.bench.report.memory_plots import scaling_figure, timeline_figure
from keras_loader_bench.bench.report.plot_layout import loader_styles
from keras_loader_bench.bench.report.rows import Row
from keras_loader_bench.bench.report.scaling import Scaling
from keras_loader_bench.bench.report.trade_off_plots import pareto_figure, workers_figure

CAPTIONS = MappingProxyType(
    {
        "rates": "Feed and training rate of each loader",
        "utilization": "AU of each loader, for each backend",
        "workers": "Feed rate of each loader against the number of workers",
        "emulated": "AU of each loader against the time of an emulated step",
        "pareto": "Feed rate against footprint, and which loaders no other beats in both",
        "footprint": "Memory of each loader over the baseline",
        "scaling": "Footprint of each loader against the number of samples",
        "timeline": "Memory of each loader's process tree over time",
    }
)
"""Name of a plot -> what it shows, for readers who cannot see it; in the order of a report."""

_STYLE: Any = {
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.spines.left": False,
    "font.family": ["DejaVu Sans"],  # the one font that comes with Matplotlib
    "font.size": 9,
    "hatch.linewidth": 0.6,
    "svg.hashsalt": "keras-loader-bench",  # the same run gives the same bytes
}


_COLORS = 128
"""Of a PNG: plots have few, and their edges are the mixtures of two."""


@contextmanager
def plot_style(**settings: Any) -> Iterator[None]:
    """Draw and write in the style of all plots; `settings` are Matplotlib's."""
    style: Any = {**_STYLE, **settings}
    with mpl.rc_context(style):
        yield


def figures(run: Run, rows: Sequence[Row], lines: Sequence[Scaling]) -> dict[str, Figure]:
    """Draw what was measured.

    Args:
        run: the content of `run.json`.
        rows: what `rows_from_run` returned.
        lines: what `scalings` returned.

    Returns:
        Name of a plot -> the figure, in the order of `CAPTIONS`; none for which nothing was
        measured.
    """
    styles = loader_styles((row.loader for row in rows), run.loaders)
    with plot_style():
        drawn = {
            "rates": rates_figure(rows, styles),
            "utilization": utilization_figure(rows, styles),
            "workers": workers_figure(rows, styles),
            "emulated": emulation_figure(emulations(rows), styles),
            "pareto": pareto_figure(rows, styles),
            # Bars of every size would say less than a line.
            "footprint": None if lines else footprint_figure(rows, styles),
            "scaling": scaling_figure(lines, styles),
            "timeline": timeline_figure(run, styles),
        }
        found = {name: figure for name in CAPTIONS if (figure := drawn[name]) is not None}
        for figure in found.values():
            # Laid out once, not for each of its files: that takes longer than drawing it.
            figure.draw_without_rendering()
            figure.set_layout_engine("none")
    return found


def write_plots(drawn: Mapping[str, Figure], folder: Path) -> list[Path]:
    """Write figures as SVG and as PNG, the latter with few colours, which makes it small.

    Args:
        drawn: name -> figure.
        folder: where the files go.

    Returns:
        The files written.
    """
    written = []
    with plot_style():
        for name, figure in drawn.items():
            written += [folder / f"{name}.svg", folder / f"{name}.png"]
            figure.savefig(written[-2], metadata={"Date": None, "Creator": None})
            pixels = io.BytesIO()
            figure.savefig(pixels, dpi=120, format="png")
            image = Image.open(pixels).convert("RGB").quantize(_COLORS, dither=Image.Dither.NONE)
            image.save(written[-1], optimize=True)
    return written


def svg_text(figure: Figure) -> str:
    """Return a figure as SVG whose text is text, for a page that brings fonts."""
    file = io.StringIO()
    with plot_style(**{"svg.fonttype": "none"}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return file.getvalue()
