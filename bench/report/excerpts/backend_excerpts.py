"""The excerpts of a report that are a table with a column per backend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from keras_loader_bench.bench.record.schema import CaseRecord, Run
from keras_loader_bench.bench.report import cells
from keras_loader_bench.bench.report.figures.emulation import emulations
from keras_loader_bench.bench.report.figures.rows import Row, not_skipped, row_label, rows_from_run
from keras_loader_bench.bench.report.figures.throughput import read_throughput
from keras_loader_bench.bench.report.sections.ranks_section import efficiency

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


def ranks(run: Run, address: str) -> str:
    """What several ranks feed beside one, per loader and backend: a table per benchmark."""
    texts: dict[str, dict[tuple[str, str], str]] = {}
    cases = sorted(run.loader_cases, key=lambda each: each.case.step_ms or 0)
    alone = {_measured(each): each for each in cases if each.case.ranks == 1}
    for result in cases:
        case = result.case
        if case.ranks == 1 or (single := alone.get(_measured(result))) is None:
            continue
        one, together = map(read_throughput, (single, result))
        if one is None or together is None:
            continue
        what = "feed rates" if case.step_ms is None else f"steps of {case.step_ms:g} ms"
        kept = cells.median(efficiency(single, result), cells.fraction)
        rates = (cells.median(each.rate, cells.rate) for each in (one, together))
        text = f"{' to '.join(rates)}, {kept}"
        texts.setdefault(what, {})[row_label(case.loader, case.num_workers), case.backend] = text
    return "\n\n".join(f"{what}:\n\n{_by_backend(of)}" for what, of in texts.items())


def _measured(result: CaseRecord) -> str:
    """Return what a case has in common with that of another number of ranks."""
    return str(replace(result.case, ranks=1))


def _by_backend(texts: Mapping[tuple[str, str], str]) -> str:
    """Return a table with a row per loader and a column per backend."""
    backends = sorted({backend for _, backend in texts})
    lines = [
        [cells.code(loader), *(texts.get((loader, b), cells.NOT_RUN) for b in backends)]
        for loader in sorted({loader for loader, _ in texts})
    ]
    headings = ["loader", *(BACKENDS.get(b, b) for b in backends)]
    return cells.table([headings, *lines], left=headings[:1])
