"""`report.md`: what stands where. The wording around it is in `report.md.j2`.

Must not know: how figures are derived.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2

from bench.report import cells
from bench.report.audit_section import audit_blocks, audit_summary, audit_verdict
from bench.report.cells import Markdown
from bench.report.device_section import device_tables, device_warnings
from bench.report.emulation import emulations
from bench.report.emulation_section import emulation_tables
from bench.report.endings import endings, missing_cases, skipped_cases
from bench.report.figures import Throughput
from bench.report.findings import findings
from bench.report.memory_section import footprint, memory_tables
from bench.report.options import HEADINGS, describe, differing, value
from bench.report.plots import CAPTIONS
from bench.report.rows import Row, not_skipped
from bench.report.scaling import Scaling
from bench.statistics import CONFIDENCE, MIN_ROUNDS

_WORKERS = "workers"

Column = Callable[[Row], str]


def _figure(bench: str, name: str, write: Callable[[float], str]) -> Column:
    """A column with the median and the interval of one figure of a feed or training case."""

    def column(row: Row) -> str:
        case: Throughput | None = getattr(row, bench)
        return cells.measured(case, lambda case: cells.interval(getattr(case, name), write))

    return column


COLUMNS: Mapping[str, Column] = {
    "loader": lambda row: cells.code(row.loader),
    "feed rate (samples/s)": _figure("feed", "rate", cells.rate),
    "AU of feed": _figure("feed", "utilization", cells.fraction),
    "training rate (samples/s)": _figure("train", "rate", cells.rate),
    "AU of training": _figure("train", "utilization", cells.fraction),
    "data stall (training)": _figure("train", "data_stall", cells.fraction),
    "CPU s per 1,000 samples (feed)": _figure("feed", "cpu_s_per_1000_samples", cells.significant),
    "time to first batch (feed, ms)": _figure("feed", "time_to_first_batch_s", cells.milliseconds),
    "epoch boundary (feed, ms)": _figure("feed", "epoch_boundary_s", cells.milliseconds),
    "footprint (MiB)": lambda row: cells.measured(row.memory, footprint),
    "batches identical": audit_verdict,
}
"""Heading of the table -> what stands in a row's cell."""


def report_markdown(
    run: Mapping[str, Any], rows: Sequence[Row], lines: Sequence[Scaling], *, plots: Sequence[str]
) -> str:
    """Return the report of a run.

    Args:
        run: the content of `run.json`, as `read_run` returns it.
        rows: what `rows_from_run` made of it.
        lines: what `scalings` made of it.
        plots: names of the plot files beside the report.

    Returns:
        GitHub-flavoured Markdown that ends with one line break.
    """
    shown = not_skipped(rows)
    names = differing(shown)
    headings, table = _table(shown, names)
    return (
        environment(Path(__file__).parent)
        .get_template("report.md.j2")
        .render(
            run=run,
            headings=headings,
            table=table,
            common=describe(shown[0], without=names) if shown else "",
            findings=findings(shown, lines, run["environment"].get("memory_bytes")),
            memory=memory_tables(shown, lines),
            device=device_tables(shown),
            device_warnings=[Markdown(text) for text in device_warnings(shown)],
            emulation=emulation_tables(emulations(shown)),
            audit=audit_summary(shown),
            blocks=audit_blocks(shown),
            plots=[name for name in plots if name.endswith(".png")],
            captions=CAPTIONS,
            left={"loader", "batches identical", "budget kept by", *HEADINGS.values()},
            endings=endings(run),
            skipped=skipped_cases(run),
            missing=missing_cases(run),
            confidence=f"{CONFIDENCE:.0%}",
            min_rounds=MIN_ROUNDS,
        )
    )


def _table(rows: Sequence[Row], names: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """Return headings and lines of the comparison, without columns in which nothing stands."""
    options = {HEADINGS[name]: _option(name) for name in names}
    columns = options | _loader_columns(rows)
    cells_of = {heading: [column(row) for row in rows] for heading, column in columns.items()}
    kept = [heading for heading, texts in cells_of.items() if set(texts) - {cells.NOT_RUN}]
    table = zip(*(cells_of[heading] for heading in kept), strict=True)
    return kept, [list(line) for line in table]


def _option(name: str) -> Column:
    return lambda row: value(row, name)


def _loader_columns(rows: Sequence[Row]) -> dict[str, Column]:
    """The columns from the loader's name on; its workers have one where they differ."""
    if len({row.num_workers for row in rows}) < 2:
        return {**COLUMNS, "loader": lambda row: cells.code(row.label)}
    first = {"loader": COLUMNS["loader"], _WORKERS: lambda row: f"{row.num_workers:,}"}
    return first | dict(COLUMNS)


def _backends(backends: Mapping[str, Any] | None) -> str:
    """Write the backends of a run: `jax 0.10.2 on cpu, torch 2.9.0 on cuda:0`."""
    texts = []
    for name, backend in sorted((backends or {}).items()):
        text = " ".join(str(part) for part in (name, backend.get("version")) if part)
        texts.append(f"{text} on {backend['device']}" if backend.get("device") else text)
    return ", ".join(texts)


def environment(folder: Path) -> jinja2.Environment:
    """Return what renders the Markdown templates of a folder: all text in them is escaped."""
    made = jinja2.Environment(  # noqa: S701 - Markdown, escaped by `finalize`
        loader=jinja2.FileSystemLoader(folder),
        finalize=lambda value: value if isinstance(value, Markdown) else cells.prose(value),
        keep_trailing_newline=True,
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=jinja2.ChainableUndefined,
    )
    filters: dict[str, Callable[..., str]] = {
        "backends": _backends,
        "cells": lambda texts: Markdown(f"| {' | '.join(map(cells.cell, texts))} |"),
        "code": cells.code,
        "count": lambda number: f"{number:,}" if number else "?",
        "digest": lambda digest: cells.code(str(digest)[:12]) if digest else "?",
        "ending": lambda ending: cells.outcome(ending.outcome, ending.signal),
        "fence": cells.fence,
        "gibibytes": lambda count: cells.significant(count / 2**30),
        "link": cells.link,
        "markdown": Markdown,
    }
    made.filters |= filters
    return made
