"""Reports: `run.json` of one run -> Markdown, CSV, plots and the table in the terminal.

Knows results only. Everything is derived from the raw values in `run.json`, so a report can be
rebuilt at any time, also from a run that was interrupted.
Must not know: loaders, frameworks, how anything is measured. Imports none of them.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import pandas as pd

from bench.report.markdown import report_markdown
from bench.report.plots import write_plots
from bench.report.rows import rows_from_run
from bench.report.run_file import RunFileError, read_run
from bench.report.scaling import scalings
from bench.report.summary import emulated_frame, summary_frame
from bench.report.terminal import terminal_table

__all__ = ["RunFileError", "read_run", "terminal_table", "write_report"]


def write_report(run_folder: Path | str) -> list[Path]:
    """Write everything that can be derived from `run.json` next to it.

    That is `report.md`, `summary.csv`, `emulated.csv` where steps were emulated and, where
    something was measured, plots (`rates`, `emulated`, `footprint` or `scaling`, `timeline`) as
    `.svg` and `.png`. Every file is complete before the
    first one is put in place, so a report that fails leaves an older one as it was. The same
    `run.json` gives the same bytes.

    Args:
        run_folder: the folder that holds `run.json`.

    Returns:
        The paths written.

    Raises:
        RunFileError: `run.json` is missing, not valid or of a newer schema.
        OSError: the folder cannot be written to.
    """
    folder = Path(run_folder)
    run = read_run(folder)
    rows = rows_from_run(run)
    lines = scalings(run, rows)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".report-") as temporary:
        draft = Path(temporary)
        plots = write_plots(run, rows, lines, draft)
        frame = summary_frame(rows)
        _write_csv(frame, draft / "summary.csv")
        if (steps := emulated_frame(rows)) is not None:
            _write_csv(steps, draft / "emulated.csv")
        text = report_markdown(run, rows, lines, plots=[path.name for path in plots])
        (draft / "report.md").write_text(text, encoding="utf-8", newline="\n")
        written = []
        for path in sorted(draft.iterdir()):
            written.append(path.replace(folder / path.name))
    return written


def _write_csv(frame: pd.DataFrame, path: Path) -> None:
    frame.to_csv(path, index=False, float_format="%.6g", lineterminator="\n")
