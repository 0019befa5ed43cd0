"""`keras-loader-bench report results/<run>`: rebuild the reports of runs from their raw values."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from keras_loader_bench.bench.report import RunFileError, write_report
from keras_loader_bench.bench.report.cells import plain
from keras_loader_bench.bench.report.markers import MarkerError, refresh

PAGES = (Path("README.md"), Path("results/findings.md"))
"""The pages of a checkout whose parts name their runs."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Rebuild every report named on the command line, and refresh files that quote them.

    Args:
        arguments: the command line without the program's name; `None`: that of the process.

    Returns:
        The exit status: 0, or 2 where a run cannot be read, a file cannot be written or one that is
        to be refreshed has no marker that can be filled.
    """
    parser = argparse.ArgumentParser(
        prog="keras-loader-bench report",
        description="Rebuild the reports, tables and plots of a run from its run.json.",
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
        help="refresh the parts of a Markdown file between <!-- bench:PART --> and "
        "<!-- /bench -->; those that name no run are of the last run_folder",
    )
    parser.add_argument(
        "--readme",
        action="store_true",
        help=f"the same with {' and '.join(map(str, PAGES))}, whose parts name their runs",
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
    except (RunFileError, MarkerError, OSError) as error:
        print(f"error: {plain(error)}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
