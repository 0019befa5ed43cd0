"""The memory section of a report: a table of cases, a table of sizes, and their findings."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from keras_loader_bench.bench.report import cells
from keras_loader_bench.bench.report.figures.memory_figures import Memory
from keras_loader_bench.bench.report.figures.row_options import HEADINGS, differing, value
from keras_loader_bench.bench.report.figures.rows import Row
from keras_loader_bench.bench.report.figures.scaling import Scaling, differing_options
from keras_loader_bench.bench.report.sections.table import Table
from keras_loader_bench.bench.slope import Slope

METRIC_NAMES = {
    "pss": "PSS",
    "rss_split": "RSS, shared pages counted in every process",
    "uss": "USS, private memory only",
    "rss": "RSS, page cache included",
}
"""The metrics by the names that reports use."""

_MIB = 2**20


def memory_tables(rows: Sequence[Row], lines: Sequence[Scaling]) -> list[Table]:
    """Return the tables of the section; none if no memory case was run.

    Args:
        rows: the rows that were not skipped.
        lines: the result of `scalings`.
    """
    measured = [row for row in rows if row.memory is not None]
    tables = [_cases(measured)] if measured else []
    return tables + ([_sizes(lines)] if lines else [])


_COLUMNS: Mapping[str, Callable[[Memory], str]] = {
    "footprint (MiB)": lambda memory: footprint(memory),
    "private + shared (MiB)": lambda memory: (
        f"{cells.mebibytes(memory.anon_bytes)} + {cells.mebibytes(memory.shmem_bytes)}"
    ),
    "page cache (MiB)": lambda memory: cells.mebibytes(memory.page_cache_bytes),
    "largest unseen spike (MiB)": lambda memory: cells.mebibytes(memory.unseen_bytes),
    "growth per round (MiB)": lambda memory: growth(memory.growth),
    "left after close (MiB)": lambda memory: cells.mebibytes(memory.left_bytes),
    "budget enforced by": lambda memory: memory.enforcement or cells.NOT_RUN,
}


def _cases(rows: Sequence[Row]) -> Table:
    names = differing(rows)
    columns = dict(_COLUMNS)
    if not any(row.memory and row.memory.enforcement for row in rows):
        del columns["budget enforced by"]
    headings = [*(HEADINGS[name] for name in names), "loader", *columns]
    body = []
    for row in rows:
        texts = [_memory_cell(row.memory, write, n) for n, write in enumerate(columns.values())]
        body.append([*(value(row, name) for name in names), cells.code(row.label), *texts])
    metrics = {row.memory.metric for row in rows if row.memory}
    named = "; ".join(METRIC_NAMES.get(metric, metric) for metric in sorted(metrics))
    return Table(
        text=f"Metric: {named}. All figures are over the baseline, for the whole process tree.",
        lines=[headings, *body],
    )


def _memory_cell(memory: Memory | None, write: Callable[[Memory], str], number: int) -> str:
    """Write a cell; only the first one of a row says how the case ended."""
    if memory is None:
        return cells.NOT_RUN
    if number == 0:
        return cells.measured(memory, write)
    return write(memory)


def footprint(memory: Memory) -> str:
    """Write a footprint in MiB, with the range of its processes, and its metric if not PSS."""
    text = cells.mebibytes(memory.footprint_bytes)
    if len(memory.footprints) > 1 and memory.outcome == "ok":
        least, most = (
            cells.mebibytes(size) for size in memory.footprints[:: len(memory.footprints) - 1]
        )
        text += f" ({least} - {most})"
    return (
        text
        if memory.metric == "pss"
        else f"{text} ({METRIC_NAMES.get(memory.metric, memory.metric)})"
    )


def growth(slope: Slope | None) -> str:
    """Write growth in MiB per round with its interval: `0.02 (-0.05 - 0.10)`."""
    if slope is None:
        return "too few rounds"
    if slope.low is None or slope.high is None:
        return _mebibytes(slope.value)
    return f"{_mebibytes(slope.value)} ({_mebibytes(slope.low)} - {_mebibytes(slope.high)})"


def _mebibytes(count: float) -> str:
    return cells.fraction(count / _MIB)


def _sizes(lines: Sequence[Scaling]) -> Table:
    names = differing_options(lines)
    sizes = sorted({samples for line in lines for samples in line.sizes})
    budget = next((line.budget_bytes for line in lines if line.budget_bytes), None)
    headings = [
        *(HEADINGS[name] for name in names),
        "loader",
        *(f"{size:,}" for size in sizes),
        "KiB per sample",
    ]
    if budget is not None:
        headings += ["limit between", "predicted limit"]
    body = []
    for line in lines:
        texts = [_size_cell(line.sizes.get(size)) for size in sizes]
        tail = [per_sample(line)]
        if budget is not None:
            low, high = line.bracket or (None, None)
            between = cells.NOT_RUN if high is None else f"{low:,} - {high:,} samples"
            predicted = line.predicted_break
            tail += [between, cells.NOT_RUN if predicted is None else f"{predicted:,}"]
        options = [value(line.row, name) for name in names]
        body.append([*options, cells.code(line.row.label), *texts, *tail])
    text = "Footprint in MiB against the number of samples"
    if budget is not None:
        text += f", under a budget of {size_text(budget)} over the baseline"
    return Table(text=f"{text}.", lines=[headings, *body])


def _size_cell(memory: Memory | None) -> str:
    return cells.measured(memory, footprint)


def per_sample(line: Scaling) -> str:
    """Write the slope in KiB per sample, such as `24.6 (24.1 - 25.0)`, or `bounded`."""
    if line.bounded:
        return "bounded"
    slope = line.line
    if slope is None:
        return cells.NOT_RUN
    text = cells.significant(slope.value / 1024)
    if slope.low is None or slope.high is None:
        return text
    low, high = (cells.significant(end / 1024) for end in (slope.low, slope.high))
    return f"{text} ({low} - {high})"


def size_text(count: int) -> str:
    """Write bytes with a suitable unit: `1 GiB`, `512 MiB`."""
    for unit, name in ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if count >= unit:
            return f"{count / unit:.4g} {name}"
    return f"{count} B"


def scaling_findings(
    lines: Sequence[Scaling],
    memory_bytes: int | None = None,
    write_name: Callable[[str], str] = cells.code,
) -> list[str]:
    """Return per loader the memory per sample, the limit of a budget and that of the machine.

    Args:
        lines: the lines of one set of options.
        memory_bytes: memory of the machine; `None` if unknown.
        write_name: writes the name of a loader.
    """
    found = [_finding(line, write_name(line.row.label), memory_bytes) for line in lines]
    return [text for text in found if text]


def _finding(line: Scaling, name: str, memory_bytes: int | None) -> str | None:
    lived = line.lived
    if line.bounded:
        low, high = (cells.mebibytes(size) for size in (min(lived.values()), max(lived.values())))
        stays = f"{high} MiB" if low == high else f"{low} to {high} MiB"
        return f"{name} stays at {stays} from {min(lived):,} to {max(lived):,} samples."
    if line.line is not None and line.grows_little:
        first, last = (
            f"{cells.mebibytes(lived[samples])} MiB at {samples:,} samples"
            for samples in (min(lived), max(lived))
        )
        each = cells.significant(line.line.value)
        return f"{name} grows by {each} bytes per sample, from {first} to {last}."
    parts = []
    if line.line is not None:
        parts.append(f"needs {cells.significant(line.line.value / 1024)} KiB per sample")
    if line.bracket is not None and line.budget_bytes is not None:
        survived, died = line.bracket
        where = f"between {survived:,} and {died:,}" if survived else f"already at {died:,}"
        parts.append(f"exceeds a budget of {size_text(line.budget_bytes)} {where} samples")
    if not parts:
        return None
    text = f"{name} {cells.enumeration(parts)}"
    if memory_bytes is not None and (capacity := line.capacity(memory_bytes)) is not None:
        gib = cells.significant(memory_bytes / 2**30)
        text += f"; the {gib} GiB of this machine would hold {_count(capacity)} samples"
    return f"{text}."


def _count(number: int) -> str:
    return f"{float(f'{number / 1e6:.2g}'):,.10g} million" if number >= 1e6 else f"{number:,}"
