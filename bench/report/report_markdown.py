"""Renders `report.md` from its template `report.md.j2`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import jinja2

from keras_loader_bench.bench.record.environment_record import BackendRecord
from keras_loader_bench.bench.record.schema import Run
from keras_loader_bench.bench.report import cells
from keras_loader_bench.bench.report.cells import Markdown
from keras_loader_bench.bench.report.figures.emulation import emulations
from keras_loader_bench.bench.report.figures.endings import endings, missing_cases, skipped_cases
from keras_loader_bench.bench.report.figures.input_figures import inputs_of
from keras_loader_bench.bench.report.figures.machine_load import BUSY
from keras_loader_bench.bench.report.figures.resolution import resolutions
from keras_loader_bench.bench.report.figures.row_options import describe, differing
from keras_loader_bench.bench.report.figures.rows import Row, not_skipped
from keras_loader_bench.bench.report.figures.scaling import Scaling
from keras_loader_bench.bench.report.plots import CAPTIONS
from keras_loader_bench.bench.report.recommend import recommend
from keras_loader_bench.bench.report.sections.audit_section import (
    audit_blocks,
    audit_summary,
    by_fingerprint,
    what_identical_means,
)
from keras_loader_bench.bench.report.sections.augmentation_section import augmentation_tables
from keras_loader_bench.bench.report.sections.comparison_section import (
    TEXT_COLUMNS,
    comparison_table,
)
from keras_loader_bench.bench.report.sections.device_section import (
    device_notes,
    device_tables,
)
from keras_loader_bench.bench.report.sections.emulation_section import emulation_tables
from keras_loader_bench.bench.report.sections.encoded_section import encoded_tables
from keras_loader_bench.bench.report.sections.findings import findings
from keras_loader_bench.bench.report.sections.input_section import (
    comparisons,
    input_sentences,
)
from keras_loader_bench.bench.report.sections.memory_section import memory_tables
from keras_loader_bench.bench.report.sections.own_data import own_data
from keras_loader_bench.bench.report.sections.ranks_section import ranks_tables
from keras_loader_bench.bench.report.sections.recommendation_section import (
    recommendation_text,
    recommendation_title,
)
from keras_loader_bench.bench.report.sections.remedy_section import HELPS, what_would_help
from keras_loader_bench.bench.report.sections.resolution_section import resolution_table
from keras_loader_bench.bench.report.sections.stability import run_warnings
from keras_loader_bench.bench.statistics import CONFIDENCE, MIN_PROCESSES, MIN_ROUNDS

ONE_AUDIT_FOR_ALL = 3
"""The first method by which cases that need the same audit share it; see `bench.plan.protocol`."""


def report_markdown(
    run: Run, rows: Sequence[Row], lines: Sequence[Scaling], *, plots: Sequence[str]
) -> str:
    """Return the report of a run.

    Args:
        run: what `read_run` returned.
        rows: what `rows_from_run` made of it.
        lines: what `scalings` made of it.
        plots: names of the plots whose files stand beside the report.

    Returns:
        GitHub-flavoured Markdown that ends with one line break.
    """
    shown = not_skipped(rows)
    names = differing(shown)
    inputs = inputs_of(run, cores=run.environment.cores_in_all)
    recommended = [] if inputs else recommend(rows)
    headings, table, marked = comparison_table(shown, names)
    return (
        environment(Path(__file__).parent)
        .get_template("report.md.j2")
        .render(
            run=run,
            inputs=[(input_sentences(found), what_would_help(found)) for found in inputs],
            helps=HELPS,
            input_comparisons=comparisons(inputs),
            recommendations=[
                (recommendation_title(found), recommendation_text(found)) for found in recommended
            ],
            recipes=own_data(recommended),
            warnings=run_warnings(run, shown),
            headings=headings,
            table=table,
            marked=marked,
            identical=None if inputs else what_identical_means(shown),
            common=describe(shown[0], without=names) if shown else "",
            own=sorted({row.loader for row in shown} & set(run.own_loaders)),
            resolution=resolution_table(resolutions(run)),
            findings=[] if inputs else findings(shown, lines, run.environment.memory_bytes),
            memory=memory_tables(shown, lines),
            device=device_tables(shown),
            device_notes=device_notes(shown),
            encoded=[*encoded_tables(run), *augmentation_tables(run)],
            ranks=ranks_tables(run),
            emulation=emulation_tables(emulations(shown)),
            audit=audit_summary(shown),
            fingerprints=by_fingerprint(shown),
            one_audit_for_all=run.method >= ONE_AUDIT_FOR_ALL,
            blocks=audit_blocks(shown),
            plots=plots,
            captions=CAPTIONS,
            left={"budget enforced by", "container", "reads", *TEXT_COLUMNS},
            endings=endings(run),
            skipped=skipped_cases(run),
            missing=missing_cases(run),
            busy=f"{BUSY:.0%}",
            confidence=f"{CONFIDENCE:.0%}",
            min_rounds=MIN_ROUNDS,
            min_processes=MIN_PROCESSES,
        )
    )


def _backends(backends: Mapping[str, BackendRecord]) -> str:
    """Write the backends of a run: `jax 0.10.2 on cpu, torch 2.9.0 on cuda:0`."""
    texts = []
    for name, backend in sorted(backends.items()):
        text = " ".join(str(part) for part in (name, backend.version) if part)
        texts.append(f"{text} on {backend.device}" if backend.device else text)
    return ", ".join(texts)


def environment(folder: Path) -> jinja2.Environment:
    """Return an environment for the Markdown templates of a folder that escapes all values."""
    made = jinja2.Environment(  # noqa: S701 - Markdown, escaped by `finalize`
        loader=jinja2.FileSystemLoader(folder),
        finalize=lambda value: value if isinstance(value, Markdown) else cells.prose(value),
        keep_trailing_newline=True,
        lstrip_blocks=True,
        trim_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    filters: dict[str, Callable[..., str]] = {
        "backends": _backends,
        "code": cells.code,
        "count": lambda number: f"{number:,}" if number else "?",
        "digest": lambda digest: cells.code(str(digest)[:12]) if digest else "?",
        "ending": lambda ending: cells.outcome(ending.outcome, ending.signal),
        "fence": cells.fence,
        "gibibytes": lambda count: cells.significant(count / 2**30),
        "link": cells.link,
        "markdown": Markdown,
        "cells": cells.table_line,
        "table": cells.table,
    }
    made.filters |= filters
    return made
