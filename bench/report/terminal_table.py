"""Makes the table that the terminal shows at the end of a run."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from keras_loader_bench.bench.record.schema import Run
from keras_loader_bench.bench.report import cells
from keras_loader_bench.bench.report.cells import Case
from keras_loader_bench.bench.report.figures.emulation import emulations
from keras_loader_bench.bench.report.figures.endings import endings, skipped_cases
from keras_loader_bench.bench.report.figures.input_figures import InputFigures, inputs_of
from keras_loader_bench.bench.report.figures.memory_figures import Memory
from keras_loader_bench.bench.report.figures.row_options import describe
from keras_loader_bench.bench.report.figures.rows import Row, not_skipped, rows_from_run
from keras_loader_bench.bench.report.figures.scaling import scalings
from keras_loader_bench.bench.report.figures.throughput import Throughput
from keras_loader_bench.bench.report.ranking import by_config
from keras_loader_bench.bench.report.recommend import recommend
from keras_loader_bench.bench.report.sections.emulation_section import emulation_findings
from keras_loader_bench.bench.report.sections.input_section import (
    comparisons,
    input_sentences,
)
from keras_loader_bench.bench.report.sections.memory_section import scaling_findings
from keras_loader_bench.bench.report.sections.recommendation_section import recommendation_text
from keras_loader_bench.bench.report.sections.remedy_section import HELPS, what_would_help
from keras_loader_bench.bench.report.sections.stability import run_warnings

_MIN_NAME = 8
_GAP = "  "

Columns = Mapping[str, Callable[[Row], str]]


def _columns(figure: Callable[..., str]) -> Columns:
    """Return the columns to the right of the label; `figure` writes rates."""

    def rate(case: Throughput | None) -> str:
        return _measured(case, lambda case: figure(case.rate, cells.rate))

    return {
        "feed/s": lambda row: rate(row.feed),
        "AU": lambda row: _median(row.feed, "utilization", cells.fraction),
        "train/s": lambda row: rate(row.train),
        "AU ": lambda row: _median(row.train, "utilization", cells.fraction),
        "CPU s/1k": lambda row: _median(row.feed, "cpu_s_per_1000_samples", cells.significant),
        "first ms": lambda row: _median(row.feed, "time_to_first_batch_s", cells.milliseconds),
        "MiB": lambda row: _measured(row.memory, _footprint),
        "same": lambda row: {True: "yes", False: "NO", None: cells.NOT_RUN}[row.identical],
    }


def _measured(case: Case | None, write: Callable[[Case], str]) -> str:
    """Write a cell without the signal that ended a case and without figures of wrong batches.

    There is no room for both; lines below the table say why a case ended.
    """
    if case is not None and case.outcome == "audit_failed":
        return cells.outcome(case.outcome, None)
    return cells.measured(case and replace(case, signal=None), write).replace(" - ", "-")


def _footprint(memory: Memory) -> str:
    return cells.mebibytes(memory.footprint_bytes)


_HEAD = re.compile(r"\*\*(.+?)\*\*")
"""The bold beginning of a warning."""

_WITH_INTERVALS = _columns(cells.interval)
_MEDIANS = _columns(cells.median)


def terminal_table(run: Run, width: int = 100) -> str:
    """Return the comparison of a run's loaders, one block per set of options.

    If the terminal is too narrow, intervals are left out first, then long names are shortened.

    Args:
        run: what `read_run` returned; any case may be partial.
        width: columns of the terminal; no line is longer.

    Returns:
        Lines of printable ASCII, without a line break at the end.
    """
    if inputs := inputs_of(run, cores=run.environment.cores_in_all):
        return _inputs(run, inputs, width)
    rows = not_skipped(rows_from_run(run))
    lines = []
    for group in by_config(rows):
        lines += [cells.ascii_line(describe(group[0])), *_block(group, width), ""]
    if not rows:
        lines.append("No case has been measured.")
    else:
        lines.append("Medians, with 95% intervals if they fit. feed: null model; train: CNN;")
        lines.append("AU 1: the model never waits; CPU and first batch: feed; MiB: footprint.")
    for found in recommend(rows):
        answer = recommendation_text(found)[0].replace("*", "").replace("`", "")
        lines += textwrap.wrap(cells.ascii_line(answer), width)
    lines += map(cells.ascii_line, scaling_findings(scalings(run, rows), write_name=str))
    for finding in emulation_findings(emulations(rows), write_name=str):
        lines += textwrap.wrap(cells.ascii_line(finding), width)
    lines += _endings(run)
    return "\n".join(_short(line.rstrip(), width) for line in lines)


def _inputs(run: Run, inputs: Sequence[InputFigures], width: int) -> str:
    lines = []
    for found in inputs:
        first, *sentences = map(cells.ascii_line, input_sentences(found))
        lines += textwrap.wrap(first, width)
        for sentence in sentences:
            lines += textwrap.wrap(sentence, width, initial_indent="  ", subsequent_indent="    ")
        if remedies := list(map(cells.ascii_line, what_would_help(found))):
            lines.append(f"  {HELPS}")
            for each in remedies:
                lines += textwrap.wrap(
                    each, width, initial_indent=" " * 4, subsequent_indent=" " * 6
                )
        lines.append("")
    lines += map(cells.ascii_line, comparisons(inputs))
    lines += textwrap.wrap(_disturbed(run), width)
    lines += _endings(run)
    return "\n".join(_short(line.rstrip(), width) for line in lines).rstrip()


def _disturbed(run: Run) -> str:
    """Name what disturbed a run, by the beginnings of the report's warnings."""
    warnings = run_warnings(run, not_skipped(rows_from_run(run)))
    heads = [found[1].rstrip(".") for each in warnings if (found := _HEAD.match(each))]
    text = f"The report has warnings: {'; '.join(heads)}." if heads else ""
    return cells.ascii_line(text.replace("`", ""))


def _median(case: Any, figure: str, write: Callable[[float], str]) -> str:
    """Write a figure next to a rate, whose cell already says how the case ended."""
    if case is None or case.outcome not in ("ok", "interrupted"):
        return cells.NOT_RUN
    return cells.median(getattr(case, figure), write)


def _block(rows: Sequence[Row], width: int) -> list[str]:
    for columns in (_WITH_INTERVALS, _MEDIANS):
        table = [[name.strip() for name in columns]]
        table += [[column(row) for column in columns.values()] for row in rows]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        names = ["loader", *(cells.ascii_line(row.label) for row in rows)]
        longest = max(map(len, names))
        room = width - sum(widths) - len(_GAP) * len(widths)
        if room >= longest:
            break
    room = min(longest, max(room, _MIN_NAME))
    return [
        _GAP.join([_short(name, room).ljust(room), *map(str.rjust, line, widths)])
        for name, line in zip(names, table, strict=True)
    ]


def _endings(run: Run) -> list[str]:
    """Return a line per failed case, per reason to skip, and for an unfinished run."""
    lines = []
    for ending in endings(run):
        how = cells.outcome(ending.outcome, ending.signal)
        how = f"{how} (known)" if ending.known and ending.difference else how
        why = ending.difference if ending.outcome == "audit_failed" else ending.message
        lines.append(cells.ascii_line(": ".join(filter(None, [how, ending.id, why]))))
    for group in skipped_cases(run):
        cases = f"skipped {len(group.ids)} case{'s' if len(group.ids) > 1 else ''}"
        lines.append(cells.ascii_line(f"{cases}: {group.reason}"))
    if run.status != "complete":
        lines.append(cells.ascii_line(f"This run is not complete (status: {run.status})."))
    return lines


def _short(name: str, room: int) -> str:
    return name if len(name) <= room else f"{name[: room - 2]}.."
