"""Reports: `run.json` of one run -> Markdown, HTML, CSV, plots, badges, the terminal's table.

Knows results only. Everything is derived from the raw values in `run.json`, so a report can be
rebuilt at any time, also from a run that was interrupted.
Must not know: loaders, frameworks, how anything is measured. Imports none of them.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from keras_loader_bench.bench.record.reader import RunFileError, read_run
from keras_loader_bench.bench.report.badges import report_badges
from keras_loader_bench.bench.report.page import Plot, html_page
from keras_loader_bench.bench.report.plots import CAPTIONS, figures, svg_text, write_plots
from keras_loader_bench.bench.report.report_markdown import report_markdown
from keras_loader_bench.bench.report.rows import rows_from_run
from keras_loader_bench.bench.report.scaling import scalings
from keras_loader_bench.bench.report.summary import tables, write_tables
from keras_loader_bench.bench.report.terminal import terminal_table

__all__ = ["RunFileError", "read_run", "terminal_table", "write_report"]


def write_report(run_folder: Path | str) -> list[Path]:
    """Write everything that can be derived from `run.json` next to it.

    That is `report.md`, `report.html`, which needs no other file, the tables of
    `bench.report.summary` as `.csv` (and `.parquet` where `pyarrow` is installed), the plots of
    `bench.report.plots` as `.svg` and `.png`, and badges. Every file is complete before the first
    one is put in place, so a report that fails leaves an older one as it was. The same `run.json`
    gives the same bytes.

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
        drawn = figures(run, rows, lines)
        write_plots(drawn, draft)
        write_tables(tables(run, rows), draft)
        data = ["run.json", *sorted(path.name for path in draft.glob("*.csv"))]
        text = report_markdown(run, rows, lines, plots=list(drawn))
        page = html_page(
            text,
            {
                f"{name}.png": Plot(svg=svg_text(drawn[name]), caption=CAPTIONS[name])
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
    return written
