"""`keras-loader-bench compare results/A results/B`: compares two runs case by case."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from keras_loader_bench.bench.closed_pipe import exit_status
from keras_loader_bench.bench.compare.change import Change, judge, slower_by, unjudged
from keras_loader_bench.bench.compare.compare_markdown import comparison_markdown
from keras_loader_bench.bench.compare.compare_plot import ratio_figure
from keras_loader_bench.bench.compare.pairs import pair_cases
from keras_loader_bench.bench.compare.self_test_markdown import self_test_markdown
from keras_loader_bench.bench.plan.sizes import parse_limit
from keras_loader_bench.bench.record.drafts import write_whole
from keras_loader_bench.bench.report import RunFileError, read_run
from keras_loader_bench.bench.report.cells import plain
from keras_loader_bench.bench.report.github_summary import append_step_summary
from keras_loader_bench.bench.report.page import Plot, html_page
from keras_loader_bench.bench.report.plots import plot_style, png_bytes


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare two runs.

    Args:
        arguments: the command line without the program's name; `None` for that of the process.

    Returns:
        The exit status: 0; 1 if `--fail-if` found a slower case; 2 if a run cannot be read or a
        file cannot be written; 3 if `--fail-if` found none, but could not judge every case.
    """
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.self_test != (options.after is None):
        parser.error("give two runs to compare, or one with --self-test")
    if options.self_test and (options.fail_if is not None or options.allow_unjudged):
        parser.error("--self-test is no gate: remove --fail-if and --allow-unjudged")
    try:
        if options.self_test:
            text = self_test_markdown(read_run(options.before), options.before.name)
            _deliver(text, options, [])
            return 0
        before, after = read_run(options.before), read_run(options.after)
        pairs = pair_cases(before, after)
        changes = [judge(pair) for pair in pairs.pairs]
        text = comparison_markdown(
            pairs, changes, before=options.before.name, after=options.after.name
        )
        _deliver(text, options, changes)
    except BrokenPipeError:
        raise  # the reader of standard output has gone
    except (RunFileError, OSError) as error:
        print(f"error: {plain(error)}", file=sys.stderr)
        return 2
    if options.fail_if is None:
        return 0
    slower = [change.pair.id for change in changes if slower_by(change, options.fail_if)]
    for name in slower:
        print(f"slower by {options.fail_if:.0%} or more: {name}", file=sys.stderr)
    if slower:
        return 1
    open_cases = unjudged(pairs, changes)
    for name, reason in open_cases.items():
        print(f"not judged: {name}: {reason}", file=sys.stderr)
    return 3 if open_cases and not options.allow_unjudged else 0


def _deliver(text: str, options: argparse.Namespace, changes: Sequence[Change]) -> None:
    """Print a text, and write it to the files that were asked for."""
    print(text, end="")
    append_step_summary(text, os.environ)
    for path in options.output:
        written = _page(text, changes) if path.suffix == ".html" else text
        write_whole(path, written)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="keras-loader-bench compare",
        description="Compare two runs case by case, with intervals and verdicts.",
    )
    parser.add_argument("before", type=Path, help="folder of the first run, e.g. results/<run>")
    parser.add_argument("after", type=Path, nargs="?", help="folder of the second run")
    parser.add_argument(
        "--self-test",
        action="store_true",
        help="compare one run, measured with many processes per case (`--processes 30`), with "
        "itself: how often is the same code called different on this machine?",
    )
    parser.add_argument(
        "--fail-if",
        type=_slower,
        metavar="slower=5%",
        help="exit with 1 if a case is slower beyond its interval, and by at least this much; with "
        "3 if there is none, but a case could not be judged",
    )
    parser.add_argument(
        "--allow-unjudged",
        action="store_true",
        help="with --fail-if, exit with 0 although a case could not be judged: it failed, is "
        "missing in the second run, or has too few processes",
    )
    parser.add_argument(
        "--output",
        type=_file,
        action="append",
        default=[],
        metavar="FILE",
        help="also write the comparison to this file, .md or .html; can be repeated",
    )
    return parser


def _page(text: str, changes: Sequence[Change]) -> str:
    """Return the comparison as a page, with its plot below the summary."""
    with plot_style():
        figure = ratio_figure(changes)
    if figure is None:
        return html_page(text, {})
    caption = "Rate and AU of each case, after / before"
    title, summary, rest = text.split("\n\n", 2)
    image = f"![{caption}](ratios.png)"
    plot = Plot(png=png_bytes(figure), caption=caption)
    return html_page("\n\n".join((title, summary, image, rest)), {"ratios.png": plot})


def _file(text: str) -> Path:
    path = Path(text)
    if path.suffix not in (".md", ".html"):
        raise argparse.ArgumentTypeError(f"must end in .md or .html, got `{text}`")
    return path


def _slower(text: str) -> float:
    try:
        return parse_limit("slower", text, example="5%")
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


if __name__ == "__main__":
    sys.exit(exit_status(main))
