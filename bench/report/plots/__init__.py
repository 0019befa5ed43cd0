"""Draws the plots of a report and writes their files.

Each plot is one function in a `*_plots.py` or `*_plot.py` module.
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
from keras_loader_bench.bench.report.figures.emulation import emulations
from keras_loader_bench.bench.report.figures.encoded_figures import decodings
from keras_loader_bench.bench.report.figures.rows import Row
from keras_loader_bench.bench.report.figures.scaling import Scaling
from keras_loader_bench.bench.report.plots.bar_plots import (
    footprint_figure,
    rates_figure,
    utilization_figure,
)
from keras_loader_bench.bench.report.plots.emulation_plot import emulation_figure
from keras_loader_bench.bench.report.plots.encoded_plot import encoded_figure
from keras_loader_bench.bench.report.plots.memory_plots import scaling_figure, timeline_figure
from keras_loader_bench.bench.report.plots.plot_layout import DPI, loader_styles
from keras_loader_bench.bench.report.plots.trade_off_plots import pareto_figure, workers_figure

CAPTIONS = MappingProxyType(
    {
        "rates": "Feed and training rate of each loader",
        "utilization": "AU of each loader, for each backend",
        "encoded": "Feed rate of encoded images by container, beside decoding alone",
        "workers": "Feed rate of each loader against the number of workers",
        "emulated": "AU of each loader against the time of an emulated step",
        "pareto": "Feed rate against footprint, and which loaders no other beats in both",
        "footprint": "Memory of each loader over the baseline",
        "scaling": "Footprint of each loader against the number of samples",
        "timeline": "Memory of each loader's process tree over the baseline, against time",
    }
)
"""What each plot shows, by its name; also its accessible name. In the order of the report."""

_STYLE: Any = {
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.spines.left": False,
    "font.family": ["DejaVu Sans"],  # comes with Matplotlib, so every machine has it
    "font.size": 9,
    "hatch.linewidth": 0.6,
    "svg.hashsalt": "keras-loader-bench",  # the same run produces the same bytes
}


@contextmanager
def plot_style() -> Iterator[None]:
    """Draw and write in the style that all plots share."""
    with mpl.rc_context(_STYLE):
        yield


def draw_plots(run: Run, rows: Sequence[Row], lines: Sequence[Scaling]) -> dict[str, Figure]:
    """Draw the plots of a run.

    Args:
        run: the content of `run.json`.
        rows: the result of `rows_from_run`.
        lines: the result of `scalings`.

    Returns:
        Name of a plot -> it, in the order of `CAPTIONS`. A plot without data is left out.
    """
    styles = loader_styles((row.loader for row in rows), run.loaders)
    with plot_style():
        drawn = {
            "rates": rates_figure(rows, styles),
            "utilization": utilization_figure(rows, styles),
            "encoded": encoded_figure(decodings(run), styles),
            "workers": workers_figure(rows, styles),
            "emulated": emulation_figure(emulations(rows), styles),
            "pareto": pareto_figure(rows, styles),
            # With several sizes, the scaling plot replaces the bars.
            "footprint": None if lines else footprint_figure(rows, styles),
            "scaling": scaling_figure(lines, styles),
            "timeline": timeline_figure(run, styles),
        }
        found = {name: figure for name in CAPTIONS if (figure := drawn[name]) is not None}
        for figure in found.values():
            # Layout takes longer than drawing, so do it once for both files. `None` leaves no
            # engine: with "none", which keeps a placeholder, each file would be drawn twice.
            figure.draw_without_rendering()
            figure.set_layout_engine(None)
    return found


def write_plots(drawn: Mapping[str, Figure], folder: Path) -> list[Path]:
    """Write each figure as SVG and as PNG.

    Args:
        drawn: the figures by name.
        folder: where to write the files.

    Returns:
        The files written.
    """
    written = []
    with plot_style():
        for name, figure in drawn.items():
            written += [folder / f"{name}.svg", folder / f"{name}.png"]
            figure.savefig(written[-2], metadata={"Date": None, "Creator": None})
            written[-1].write_bytes(png_bytes(figure))
    return written


def png_bytes(figure: Figure) -> bytes:
    """Return a figure as PNG with few colours, which makes it small."""
    pixels, small = io.BytesIO(), io.BytesIO()
    with plot_style():
        figure.savefig(pixels, dpi=DPI, format="png")
    # A palette makes the file a third as large. Pillow's own choice of one, by how common a colour
    # is, would give thin lines the colours of areas.
    image = (
        Image.open(pixels)
        .convert("RGB")
        .quantize(method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    )
    image.save(small, format="png", optimize=True)
    return small.getvalue()
