"""Renders the comparison of two runs as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from keras_loader_bench.bench.compare.change import (
    FASTER,
    NO_CLEAR_DIFFERENCE,
    REFUSED,
    SLOWER,
    TOO_FEW,
    Change,
)
from keras_loader_bench.bench.compare.pairs import Pair, Pairs
from keras_loader_bench.bench.compare.ratio import Ratio
from keras_loader_bench.bench.record.schema import CaseRecord
from keras_loader_bench.bench.report import cells
from keras_loader_bench.bench.report.figures.memory_figures import read_memory
from keras_loader_bench.bench.report.figures.throughput import read_throughput
from keras_loader_bench.bench.report.report_markdown import environment
from keras_loader_bench.bench.statistics import CONFIDENCE, MIN_PROCESSES

ORDER = (SLOWER, FASTER, NO_CLEAR_DIFFERENCE, TOO_FEW, REFUSED)
"""Of verdicts in a summary."""

HEADINGS = (
    "case",
    "rate before (samples/s)",
    "after",
    "rate, ratio",
    "AU, ratio",
    "CPU s relative to ceiling, ratio",
    "verdict",
)


def comparison_markdown(pairs: Pairs, changes: Sequence[Change], *, before: str, after: str) -> str:
    """Return the comparison.

    Args:
        pairs: the cases of the two runs.
        changes: the verdict on each pair, in their order.
        before: what the first run is called.
        after: what the second run is called.

    Returns:
        GitHub-flavoured Markdown that ends with one line break.
    """
    timed = [change for change in changes if change.pair.bench != "memory"]
    return (
        environment(Path(__file__).parent)
        .get_template("compare.md.j2")
        .render(
            pairs=pairs,
            before=before,
            after=after,
            headings=HEADINGS,
            table=[_line(change) for change in timed],
            memory=[_memory_line(each.pair) for each in changes if each.pair.bench == "memory"],
            counts=[
                (verdict, count)
                for verdict in ORDER
                if (count := sum(change.verdict == verdict for change in timed))
            ],
            confidence=f"{CONFIDENCE:.0%}",
            min_processes=MIN_PROCESSES,
        )
    )


def verdict_text(change: Change) -> str:
    """Word a verdict, with the smallest visible change and differences of CPU seconds."""
    if change.verdict == REFUSED:
        return f"{REFUSED}: {change.pair.refused}"
    text = change.verdict
    if change.verdict == NO_CLEAR_DIFFERENCE and change.smallest_change is not None:
        text += f" (a change below {change.smallest_change:.0%} would not be seen)"
    if change.machine is not None and change.machine.apart:
        slower = "slower" if change.machine.value > 1 else "faster"
        text += f"; the machine itself was {abs(change.machine.value - 1):.0%} {slower}"
    if change.decided_by_cpu and change.cpu is not None:
        more = "more" if change.cpu.value > 1 else "less"
        text += f"; but CPU seconds differ: {abs(change.cpu.value - 1):.0%} {more}"
    return text


def _line(change: Change) -> list[str]:
    return [
        cells.code(change.pair.id),
        _rate(change.pair.before),
        _rate(change.pair.after),
        *(ratio_text(figure) for figure in (change.rate, change.utilization, change.cpu)),
        verdict_text(change),
    ]


def _memory_line(pair: Pair) -> list[str]:
    sizes = [
        cells.measured(read_memory(result), lambda case: cells.mebibytes(case.footprint_bytes))
        for result in (pair.before, pair.after)
    ]
    return [cells.code(pair.id), *sizes, pair.refused or ""]


def _rate(result: CaseRecord) -> str:
    case = read_throughput(result)
    return cells.measured(case, lambda case: cells.median(case.rate, cells.rate))


def ratio_text(ratio: Ratio | None) -> str:
    """Write a ratio with its interval: `1.02 (0.98 - 1.05)`."""
    if ratio is None:
        return cells.NOT_RUN
    if ratio.low is None or ratio.high is None:
        return cells.fraction(ratio.value)
    value, low, high = map(cells.fraction, (ratio.value, ratio.low, ratio.high))
    return f"{value} ({low} - {high})"
