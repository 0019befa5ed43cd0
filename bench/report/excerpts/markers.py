"""Refreshes excerpts of reports in other Markdown files, such as a README.

A part stands between `<!-- bench:PART [RUN] [WORD ...] -->` and `<!-- /bench -->`. PART is one of
`bench.report.excerpts.run_excerpts`; RUN is the folder of a run, relative to the file, or nothing
for the run that is named on the command line; the words choose from it. A part whose first marker
ends its line stands on lines of its own, any other one inside of a paragraph.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from keras_loader_bench.bench.record.drafts import write_whole
from keras_loader_bench.bench.record.reader import read_run
from keras_loader_bench.bench.record.schema import Run
from keras_loader_bench.bench.report.cells import plain
from keras_loader_bench.bench.report.excerpts.run_excerpts import EXCERPTS

_BEGIN = r"<!-- bench:(?P<part>[a-z-]+)(?P<words>[^<>\n]*?) -->"
_END = "<!-- /bench -->"
_MARKED = re.compile(rf"(?P<begin>{_BEGIN})(?P<old>.*?){re.escape(_END)}", re.DOTALL)

_FENCED = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)


class MarkerError(ValueError):
    """A marker cannot be filled; the message is one line with a remedy."""


def refresh(path: Path, run_folder: Path | None = None) -> bool:
    """Fill every marker of a file, or none if one cannot be filled.

    Args:
        path: a Markdown file.
        run_folder: the run of markers that name none.

    Returns:
        Whether the file changed.

    Raises:
        MarkerError: there is no marker, or one is unknown, unclosed or lacks something.
        RunFileError: a run cannot be read.
        OSError: the file cannot be read or written.
    """
    old = path.read_text(encoding="utf-8")
    new = refreshed(old, path.parent, run_folder)
    if new != old:
        write_whole(path, new)
    return new != old


def refreshed(text: str, folder: Path, run_folder: Path | None = None) -> str:
    """Return Markdown with every marker filled.

    Args:
        text: the Markdown.
        folder: what the folders of runs in it are relative to.
        run_folder: the run of markers that name none.

    Raises:
        MarkerError: there is no marker, or one is unknown, unclosed or lacks something.
        RunFileError: a run cannot be read.
    """
    pieces = _FENCED.split(text)  # every second one is code, whose markers are only shown
    prose = "".join(pieces[::2])
    begun, closed = len(re.findall(_BEGIN, prose)), len(_MARKED.findall(prose))
    if begun != closed or closed != prose.count(_END):
        raise MarkerError(
            f"{begun} markers begin an excerpt and {prose.count(_END)} end one; close each "
            f"`<!-- bench:... -->` with `{_END}`."
        )
    if not begun:
        parts = ", ".join(EXCERPTS)
        raise MarkerError(
            f"There is no marker; add `<!-- bench:PART -->` and `{_END}` where an excerpt belongs. "
            f"PART is one of: {parts}."
        )
    runs: dict[Path, Run] = {}

    def fill(match: re.Match[str]) -> str:
        words = match["words"].split()
        own = folder / words[0] if words and "/" in words[0] else None
        where = own or run_folder
        if where is None:
            raise MarkerError(
                f"`{match['begin']}` names no run; add its folder to it or to the command line."
            )
        if where not in runs:
            runs[where] = read_run(where)
        content = _excerpt(match, runs[where], where, words[own is not None :], folder)
        if match["old"].startswith("\n"):
            return f"{match['begin']}\n{content}\n{_END}"
        if match.start() == 0 or match.string[match.start() - 1] == "\n":
            raise MarkerError(
                f"`{match['begin']}` begins a line, which Markdown would then not render; put a "
                f"word before it, or `{_END}` on a separate line."
            )
        return f"{match['begin']}{' '.join(content.split())}{_END}"

    pieces[::2] = [_MARKED.sub(fill, piece) for piece in pieces[::2]]
    return "".join(pieces)


def _excerpt(
    match: re.Match[str], run: Run, where: Path, words: Sequence[str], folder: Path
) -> str:
    excerpt: Callable[..., str] | None = EXCERPTS.get(match["part"])
    if excerpt is None:
        raise MarkerError(
            f"`{match['begin']}`: unknown part `{match['part']}`; choose from "
            f"{', '.join(EXCERPTS)}."
        )
    address = Path(os.path.relpath(where, folder)).as_posix()
    try:
        text = excerpt(run, address, *words)
    except (LookupError, TypeError, ValueError) as error:
        raise MarkerError(f"`{match['begin']}`: {plain(error)}.") from error
    return text.replace("](#", f"]({address}/report.md#")  # what leads elsewhere in the report
