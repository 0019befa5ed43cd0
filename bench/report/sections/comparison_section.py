"""The table that compares loaders: its columns, and the best loader of each column."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from keras_loader_bench.bench.report import cells
from keras_loader_bench.bench.report.figures.row_options import HEADINGS, value
from keras_loader_bench.bench.report.figures.rows import Row
from keras_loader_bench.bench.report.figures.throughput import Throughput
from keras_loader_bench.bench.report.ranking import apart, by_config, feed_case, train_case
from keras_loader_bench.bench.report.recommend import same_footprint_limit
from keras_loader_bench.bench.report.sections.audit_section import audit_verdict
from keras_loader_bench.bench.report.sections.memory_section import footprint
from keras_loader_bench.bench.statistics import Estimate

BEST, FIRST = "★", "☆"
"""Marks of the best row of a column: clearly best, and best by its median only."""

TEXT_COLUMNS = frozenset({"loader", "batches identical", *HEADINGS.values()})
"""Headings of text columns, which are aligned to the left."""

_WORKERS = "workers"

Column = Callable[[Row], str]


def _figure(bench: str, name: str, write: Callable[[float], str]) -> Column:
    """Return a column with the median and interval of a figure of feed or training cases."""

    def column(row: Row) -> str:
        case: Throughput | None = getattr(row, bench)
        return cells.measured(case, lambda case: cells.interval(getattr(case, name), write))

    return column


_READ = _figure("feed", "read_bytes_per_sample", cells.kibibytes)


COLUMNS: Mapping[str, Column] = {
    "loader": lambda row: cells.code(row.loader),
    "batches identical": audit_verdict,
    "feed rate (samples/s)": _figure("feed", "rate", cells.rate),
    "AU of feed": _figure("feed", "utilization", cells.fraction),
    "training rate (samples/s)": _figure("train", "rate", cells.rate),
    "AU of training": _figure("train", "utilization", cells.fraction),
    "data stall (training)": _figure("train", "data_stall", cells.fraction),
    "CPU s per 1,000 samples (feed)": _figure("feed", "cpu_s_per_1000_samples", cells.significant),
    "time to first batch (feed, ms)": _figure("feed", "time_to_first_batch_s", cells.milliseconds),
    "epoch boundary (feed, ms)": _figure("feed", "epoch_boundary_s", cells.milliseconds),
    "read from disk (KiB per sample, feed)": lambda row: (
        _READ(row) if row.page_cache == "cold" else cells.NOT_RUN
    ),
    "footprint (MiB)": lambda row: cells.measured(row.memory, footprint),
}
"""The columns by their heading, each a function from a row to its cell."""


def _estimate(bench: str, name: str) -> Callable[[Row], Estimate | None]:
    def estimate(row: Row) -> Estimate | None:
        case: Throughput | None = getattr(row, bench)
        return getattr(case, name) if case is not None and row.may_be_ranked(case) else None

    return estimate


_HIGHEST = MappingProxyType(
    {
        "feed rate (samples/s)": (_estimate("feed", "rate"), feed_case),
        "AU of feed": (_estimate("feed", "utilization"), feed_case),
        "training rate (samples/s)": (_estimate("train", "rate"), train_case),
        "AU of training": (_estimate("train", "utilization"), train_case),
    }
)
"""Columns where more is better. A row is clearly best if it is by both rate and AU."""

_LOWEST = MappingProxyType(
    {
        "CPU s per 1,000 samples (feed)": _estimate("feed", "cpu_s_per_1000_samples"),
        "time to first batch (feed, ms)": _estimate("feed", "time_to_first_batch_s"),
        "epoch boundary (feed, ms)": _estimate("feed", "epoch_boundary_s"),
    }
)


def comparison_table(
    rows: Sequence[Row], names: Sequence[str]
) -> tuple[list[str], list[list[str]], bool]:
    """Return the table without its empty columns.

    Args:
        rows: the rows that were not skipped, sorted by options.
        names: the options in which they differ.

    Returns:
        Headings, lines, and whether any column has a best row.
    """
    options = {HEADINGS[name]: _option(name) for name in names}
    columns = options | _loader_columns(rows)
    cells_of = {heading: [column(row) for row in rows] for heading, column in columns.items()}
    marks = _marks(rows)
    for (heading, number), mark in marks.items():
        cells_of[heading][number] = f"{mark} {cells_of[heading][number]}"
    kept = [heading for heading, texts in cells_of.items() if set(texts) - {cells.NOT_RUN}]
    table = zip(*(cells_of[heading] for heading in kept), strict=True)
    return kept, [list(line) for line in table], bool(marks)


def _marks(rows: Sequence[Row]) -> dict[tuple[str, int], str]:
    """Return the mark of each marked cell, by heading and number of the row."""
    numbers = {id(row): number for number, row in enumerate(rows)}
    found = {}
    for group in by_config(rows):
        for heading, (row, sure) in _bests(group).items():
            found[heading, numbers[id(row)]] = BEST if sure else FIRST
    return found


def _bests(group: Sequence[Row]) -> dict[str, tuple[Row, bool]]:
    """Return the best row of each column, and whether it is clearly best."""
    found = {}
    for heading, (estimate, case) in _HIGHEST.items():
        known = [(e.median, row) for row in group if (e := estimate(row)) is not None]
        if len(known) > 1:
            _, top = max(known, key=lambda pair: pair[0])
            others = [row for _, row in known if row is not top]
            sure = all(apart(group, case, top.label, other.label) for other in others)
            found[heading] = (top, sure)
    for heading, estimate in _LOWEST.items():
        figures = [(e, row) for row in group if (e := estimate(row)) is not None]
        if len(figures) > 1:
            least, top = min(figures, key=lambda pair: pair[0].median)
            sure = all(e.apart_from(least) for e, r in figures if r is not top)
            found[heading] = (top, sure)
    sizes = [
        (size, row) for row in group if row.identical and (size := row.footprint_bytes) is not None
    ]
    if len(sizes) > 1:
        smallest, top = min(sizes, key=lambda pair: pair[0])
        limit = same_footprint_limit(smallest)
        found["footprint (MiB)"] = (top, all(s > limit for s, r in sizes if r is not top))
    return found


def _option(name: str) -> Column:
    return lambda row: value(row, name)


def _loader_columns(rows: Sequence[Row]) -> dict[str, Column]:
    """Return the columns from the loader on, with one for workers if their numbers differ."""
    if len({row.num_workers for row in rows}) < 2:
        return {**COLUMNS, "loader": lambda row: cells.code(row.label)}
    first = {"loader": COLUMNS["loader"], _WORKERS: lambda row: f"{row.num_workers:,}"}
    return first | dict(COLUMNS)
