"""`keras-loader-bench report results/<run>`: rebuilds reports from the raw values of runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from keras_loader_bench.bench.closed_pipe import exit_status
from keras_loader_bench.bench.report import RunFileError, write_report
from keras_loader_bench.bench.report.cells import plain
from keras_loader_bench.bench.report.excerpts.markers import MarkerError, refresh

PAGES = (Path("README.md"), Path("results/findings.md"))
"""Pages of the project with excerpts of runs."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Rebuild reports and refresh files with excerpts of them.

    Args:
        arguments: the command line without the program's name; `None` for that of the process.

    Returns:
        The exit status: 0, or 2 if a run cannot be read, a file cannot be written, or a marker
        cannot be filled.
    """
    parser = argparse.ArgumentParser(
        prog="keras-loader-bench report",
        description="Rebuild the report, tables and plots of a run from its run.json.",
    )
    parser.add_argument(
        "run_folder", type=Path, nargs="*", help="folder that holds run.json, e.g. results/<run>"
    )
    parser.add_argument(
        "--into",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="refresh the excerpts in a Markdown file, between <!-- bench:PART --> and "
        "<!-- /bench -->; excerpts that name no run come from the last run_folder",
    )
    parser.add_argument(
        "--readme",
        action="store_true",
        help=f"refresh the excerpts in {' and '.join(map(str, PAGES))}",
    )
    options = parser.parse_args(arguments)
    pages = [page for page in PAGES if page.exists()] or PAGES[:1]
    files = [*options.into, *(pages if options.readme else [])]
    if not options.run_folder and not files:
        parser.error("name a run_folder, --into FILE or --readme")
    try:
        for folder in options.run_folder:
            print("\n".join(str(path) for path in write_report(folder)))
        for file in files:
            changed = refresh(file, options.run_folder[-1] if options.run_folder else None)
            print(f"{file}: {'refreshed' if changed else 'up to date'}")
    except BrokenPipeError:
        raise  # the reader of standard output has gone
    except (RunFileError, MarkerError, OSError) as error:
        print(f"error: {plain(error)}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(exit_status(main))
