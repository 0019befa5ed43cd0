"""`keras-loader-bench history results/*`: shows each case over many runs and its changes."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from keras_loader_bench.bench.closed_pipe import exit_status
from keras_loader_bench.bench.history.history_markdown import CAPTION, history_markdown
from keras_loader_bench.bench.history.history_plot import history_figure
from keras_loader_bench.bench.history.series import NamedRun, read_history
from keras_loader_bench.bench.record.drafts import write_whole
from keras_loader_bench.bench.record.run_path import run_path
from keras_loader_bench.bench.report import RunFileError, read_run
from keras_loader_bench.bench.report.cells import plain
from keras_loader_bench.bench.report.page import Plot, html_page
from keras_loader_bench.bench.report.plots import plot_style, png_bytes


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the history of runs as a page.

    Args:
        arguments: the command line without the program's name; `None` for that of the process.

    Returns:
        The exit status: 0, or 2 if a run cannot be read or the page cannot be written.
    """
    parser = argparse.ArgumentParser(
        prog="keras-loader-bench history",
        description="Show each case over many runs, and mark the runs where it changed.",
    )
    parser.add_argument(
        "run_folder", type=Path, nargs="+", help="folders that hold run.json, in any order"
    )
    parser.add_argument(
        "--output", type=Path, default=Path("results/history.html"), help="default: %(default)s"
    )
    options = parser.parse_args(arguments)
    try:
        folders = _runs(options.run_folder)
        history = read_history(NamedRun(name=f.name, run=read_run(f)) for f in folders)
        with plot_style():
            figure = history_figure(history)
        plots = {"history.png": Plot(png=png_bytes(figure), caption=CAPTION)} if figure else {}
        text = history_markdown(history, plot=next(iter(plots), None))
        write_whole(options.output, html_page(text, plots))
    except (RunFileError, OSError) as error:
        print(f"error: {plain(error)}", file=sys.stderr)
        return 2
    print(history_markdown(history, plot=None), end="")
    print(options.output)
    return 0


def _runs(paths: Sequence[Path]) -> list[Path]:
    """Skip paths that are not runs, such as `results/README.md`.

    Raises:
        RunFileError: there are no others.
    """
    named = list(dict.fromkeys(paths))
    other = {path for path in named if path.exists() and not run_path(path).exists()}
    for path in sorted(other):
        print(f"skipped, not a run: {path}", file=sys.stderr)
    if len(other) == len(named):
        raise RunFileError(
            "No run is among these. Name folders that hold a run.json, or make one with "
            "`keras-loader-bench run`."
        )
    return [path for path in named if path not in other]


if __name__ == "__main__":
    sys.exit(exit_status(main))
