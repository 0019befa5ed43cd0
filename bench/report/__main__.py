"""`python -m bench.report results/<run>`: rebuild the reports of runs from their raw values."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from bench.report import RunFileError, write_report


def main(arguments: Sequence[str] | None = None) -> int:
    """Rebuild every report named on the command line.

    Args:
        arguments: the command line without the program's name; `None`: that of the process.

    Returns:
        The exit status: 0, or 2 where a run cannot be read or its folder cannot be written to.
    """
    parser = argparse.ArgumentParser(
        prog="python -m bench.report",
        description="Rebuild report.md, summary.csv and the plots of a run from its run.json.",
    )
    parser.add_argument(
        "run_folder", type=Path, nargs="+", help="folder that holds run.json, e.g. results/<run>"
    )
    for folder in parser.parse_args(arguments).run_folder:
        try:
            written = write_report(folder)
        except (RunFileError, OSError) as error:
            print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
            return 2
        print("\n".join(str(path) for path in written))
    return 0


if __name__ == "__main__":
    sys.exit(main())
