"""The excerpts of a report that are a table with a column per backend."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from keras_loader_bench.bench.record.schema import Run
from keras_loader_bench.bench.report import cells
from keras_loader_bench.bench.report.emulation import emulations
from keras_loader_bench.bench.report.rows import Row, not_skipped, rows_from_run

BACKENDS = MappingProxyType({"jax": "JAX", "tensorflow": "TensorFlow", "torch": "torch"})


def first_batch(run: Run, address: str) -> str:
    """Time to the first batch in milliseconds, per loader and backend."""
    rows = {(row.label, row.backend): row for row in not_skipped(rows_from_run(run))}

    def cell(row: Row | None) -> str:
        case = row.feed if row else None
        return cells.median(case.time_to_first_batch_s if case else None, cells.milliseconds)

    return _by_backend({key: cell(row) for key, row in rows.items()})


def shortest_steps(run: Run, address: str) -> str:
    """The shortest emulated step that is kept busy, per loader and backend."""
    texts = {}
    for each in emulations(rows_from_run(run)):
        step = each.shortest_step
        rate = "" if step is None else cells.median(each.measured[step].rate, cells.rate)
        text = "none" if step is None else f"{step:g} ms ({rate})"
        texts[each.row.label, each.row.backend] = text
    return _by_backend(texts)


def _by_backend(texts: Mapping[tuple[str, str], str]) -> str:
    """Return a table with a row per loader and a column per backend."""
    backends = sorted({backend for _, backend in texts})
    lines = [
        [cells.code(loader), *(texts.get((loader, b), cells.NOT_RUN) for b in backends)]
        for loader in sorted({loader for loader, _ in texts})
    ]
    headings = ["loader", *(BACKENDS.get(b, b) for b in backends)]
    return cells.table([headings, *lines], left=headings[:1])
