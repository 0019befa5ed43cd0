"""Tries what Keras feeds a model and writes the page; `python -m loaders.audit --matrix`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path

from keras_loader_bench.loaders.conformance.causes import cause_of
from keras_loader_bench.loaders.conformance.changed import changes
from keras_loader_bench.loaders.conformance.grouped import causes_of, mark_text, newest_of
from keras_loader_bench.loaders.conformance.html import html_page
from keras_loader_bench.loaders.conformance.page import page
from keras_loader_bench.loaders.conformance.parts import try_all, try_changed
from keras_loader_bench.loaders.conformance.setups import (
    KINDS,
    QUICK,
    SLOW,
    Setup,
    chosen_setups,
    every_setup,
)
from keras_loader_bench.loaders.conformance.stored import (
    FileError,
    Matrix,
    Part,
    read,
    write,
)
from keras_loader_bench.loaders.conformance.trials import (
    TrialError,
)
from keras_loader_bench.loaders.conformance.upstream import upstream_report
from keras_loader_bench.loaders.conformance.versions import (
    VersionError,
    checked_versions,
)
from keras_loader_bench.loaders.registry import BACKENDS, missing_package
from keras_loader_bench.loaders.system.drafts import WriteError, write_whole

NAME = "conformance"


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options; wrong ones end the program with exit status 2."""
    parser = argparse.ArgumentParser(
        prog="keras-loader-bench audit --matrix",
        description="Try what Keras feeds a model: by backend, kind of input and conditions.",
    )
    parser.add_argument("--matrix", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument(
        "--keras",
        metavar="VERSIONS",
        help="versions of Keras, such as 3.13.2,3.15.1: pip installs each into a folder of its own "
        "below Keras' home; all else stays as it is (default: the installed one)",
    )
    parser.add_argument(
        "--keras-backends",
        metavar="NAMES",
        help="of jax, tensorflow and torch (default: those that are installed)",
    )
    parser.add_argument("--quick", action="store_true", help="some 40 cells of each backend")
    parser.add_argument(
        "--only",
        metavar="CONDITIONS",
        help="one row of the page, such as 'PyDataset, 2 threads'; prints its cells",
    )
    parser.add_argument(
        "--kinds", metavar="NAMES", help=f"kinds of input (default: all): {', '.join(KINDS)}"
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="FOLDER",
        help=f"for {NAME}.json, {NAME}.md and {NAME}.html (default: results); other versions and "
        "backends that are in the file stay there",
    )
    parser.add_argument(
        "--from",
        dest="made",
        type=Path,
        metavar="FILE",
        help=f"try nothing: make the pages of an earlier {NAME}.json",
    )
    parser.add_argument(
        "--upstream",
        type=Path,
        metavar="FOLDER",
        help="also write a report for Keras' tracker of each cause for which a change is known: "
        "the change is tried, in a copy of the function, on what went wrong",
    )
    parser.add_argument(
        "--diff", type=Path, metavar="OLD", help="say which cells differ from an earlier file"
    )
    options = parser.parse_args(arguments)
    if options.kinds and not (options.output or options.only):
        parser.error("`--kinds` needs `--output FOLDER`: the file in `results` has all kinds")
    options.output = options.output or Path("results")
    try:
        versions = checked_versions(options.keras) if options.keras else [None]
        kinds = _names(options.kinds, KINDS, "kind of input") if options.kinds else list(KINDS)
        given = options.keras_backends
        installed = [name for name in BACKENDS if missing_package((name,)) is None]
        backends = _names(given, BACKENDS, "backend") if given else installed
        options.setups = _setups(options, kinds)
    except ValueError as error:
        parser.error(str(error))
    for backend in backends:
        if missing := missing_package((backend,)):
            parser.error(missing)
    options.versions, options.backends = versions, backends
    return options


def _names(text: str, known: Collection[str], what: str) -> list[str]:
    names = [each.strip() for each in text.split(",")]
    for name in names:
        if name not in known:
            raise ValueError(f"Unknown {what} `{name}`; choose from {', '.join(known)}.")
    return names


def _setups(options: argparse.Namespace, kinds: list[str]) -> list[Setup]:
    if options.only:
        every = [setup for kind in KINDS for setup in every_setup(kind)]
        found = [setup for setup in (*every, *SLOW) if str(setup) == options.only]
        if not found:
            raise ValueError(f"`--only {options.only}` is no row of the page.")
        return found
    return list(QUICK) if options.quick else chosen_setups(kinds)


def main(arguments: Sequence[str]) -> int:
    """Return 0, 1 where something is wrong of which no cause is known, or 2."""
    options = parse(arguments)
    stored = options.output / f"{NAME}.json"
    if not options.only:
        options.output.mkdir(parents=True, exist_ok=True)
    kept = []
    try:
        old = read(options.diff) if options.diff else None
        if options.made:
            matrix = read(options.made)
        else:
            matrix = _start(options, stored)

            def keep(part: Part) -> None:
                nonlocal matrix
                matrix = matrix.plus(part)
                kept.append(part)
                if not options.only:
                    write(matrix, stored)

            asked = (options.setups, options.versions, options.backends)
            try_all(*asked, quick=options.quick, keep=keep)
    except KeyboardInterrupt:
        said = [f"{len(kept)} are in `{stored}`, of which `--from` makes pages"] * bool(kept)
        print("; ".join(["interrupted", *said]), file=sys.stderr)
        return 130
    except (TrialError, VersionError, FileError, WriteError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if options.only:
        _print_rows(matrix)
    else:
        write_whole(options.output / f"{NAME}.md", page(matrix))
        write_whole(options.output / f"{NAME}.html", html_page(matrix))
        print(f"Report: {options.output / NAME}.md")
        if options.upstream:
            _write_reports(matrix, options.upstream)
    for line in changes(old, matrix) if old else []:
        print(line)
    new = [problem for part in matrix.parts for problem in part.problems if not cause_of(problem)]
    for problem in new:
        print(f"No cause is known of: {problem.setup}: {mark_text(problem.example)}")
    return 1 if new else 0


def _start(options: argparse.Namespace, stored: Path) -> Matrix:
    """Return what parts are put into: the file that is there, if it is one of the same sort."""
    empty = Matrix(quick=options.quick)
    if options.only or options.kinds or not stored.exists():
        return empty
    try:
        before = read(stored)
    except FileError:
        return empty
    return before if before.quick == options.quick else empty


def _write_reports(matrix: Matrix, folder: Path) -> None:
    """Write the reports for Keras' tracker, on the newest Keras of a matrix."""
    folder.mkdir(parents=True, exist_ok=True)
    newest = newest_of(matrix)
    for cause, found in causes_of(matrix):
        mine = [(part, problem) for part, problem in found if part.keras == newest]
        if cause is None or not cause.mends or not mine:
            continue
        text = upstream_report(cause, mine, partial(try_changed, cause.key))
        write_whole(folder / f"{cause.key}.md", text)
        print(f"Report for Keras: {folder / cause.key}.md")


def _print_rows(matrix: Matrix) -> None:
    for part in matrix.parts:
        for text, row in part.rows.items():
            print(f"{text}, on {part.backend} with Keras {part.keras}")
            for name, mark in row.items():
                print(f"  {name}: {mark_text(mark)}")
    for cause, _ in causes_of(matrix):
        if cause:
            print(f"{cause.title}. Remedy: {cause.remedy}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
