"""Writes the report of a run from its `run.json`: Markdown, HTML, CSV, plots and badges.

Everything is derived from the raw values in `run.json`, so a report can be rebuilt at any time,
even for an interrupted run. Imports no framework.
"""

from __future__ import annotations

from pathlib import Path

from keras_loader_bench.bench.record.drafts import draft_folder
from keras_loader_bench.bench.record.reader import RunFileError, read_run
from keras_loader_bench.bench.record.run_path import run_path
from keras_loader_bench.bench.report.badges import BADGES, report_badges
from keras_loader_bench.bench.report.figures.rows import rows_from_run
from keras_loader_bench.bench.report.figures.scaling import scalings
from keras_loader_bench.bench.report.page import Plot, html_page
from keras_loader_bench.bench.report.plots import CAPTIONS, draw_plots, write_plots
from keras_loader_bench.bench.report.report_markdown import report_markdown
from keras_loader_bench.bench.report.summary import TABLES, tables, write_tables
from keras_loader_bench.bench.report.terminal_table import terminal_table

__all__ = ["RunFileError", "read_run", "terminal_table", "write_report"]

_OPTIONAL_FILES = {
    *(f"{name}.{suffix}" for name in CAPTIONS for suffix in ("svg", "png")),
    *(f"{name}.{suffix}" for name in TABLES for suffix in ("csv", "parquet")),
    *(f"badge-{name}.svg" for name in BADGES),
}
"""Files that only some runs have."""


def write_report(run_folder: Path | str) -> list[Path]:
    """Write the report next to `run.json`.

    The report consists of `report.md`, the self-contained `report.html`, the tables of
    `bench.report.summary` as `.csv` (and `.parquet` if `pyarrow` is installed), the plots of
    `bench.report.plots` as `.svg` and `.png`, and badges. All files are written to a temporary
    folder and then moved, so if this fails, an older report stays as it was. Files of an older
    report that this one does not have are removed. The same `run.json` gives the same bytes.

    Args:
        run_folder: the folder that holds `run.json`.

    Returns:
        The paths written.

    Raises:
        RunFileError: `run.json` is missing, invalid or of a newer schema.
        WriteError: the folder cannot be written to.
    """
    folder = Path(run_folder)
    run = read_run(folder)
    rows = rows_from_run(run)
    lines = scalings(run, rows)
    with draft_folder(folder) as draft:
        drawn = draw_plots(run, rows, lines)
        write_plots(drawn, draft)
        write_tables(tables(run, rows), draft)
        data = [run_path(folder).name, *sorted(path.name for path in draft.glob("*.csv"))]
        text = report_markdown(run, rows, lines, plots=list(drawn))
        page = html_page(
            text,
            {
                f"{name}.png": Plot(
                    png=(draft / f"{name}.png").read_bytes(), caption=CAPTIONS[name]
                )
                for name in drawn
            },
            files=data,
        )
        badges = {f"badge-{name}.svg": svg for name, svg in report_badges(rows).items()}
        for name, content in {"report.md": text, "report.html": page, **badges}.items():
            (draft / name).write_text(content, encoding="utf-8", newline="\n")
        written = []
        for path in sorted(draft.iterdir()):
            written.append(path.replace(folder / path.name))
        for name in _OPTIONAL_FILES - {path.name for path in written}:
            (folder / name).unlink(missing_ok=True)
    return written
