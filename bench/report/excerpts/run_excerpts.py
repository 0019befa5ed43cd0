"""The excerpts of a report that other Markdown files can include; one function per excerpt.

Each takes the content of `run.json`, the link to the run's folder and the words of its marker, and
returns Markdown.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from keras_loader_bench.bench.record.schema import Run
from keras_loader_bench.bench.report import cells
from keras_loader_bench.bench.report.excerpts.backend_excerpts import (
    first_batch,
    ranks,
    shortest_steps,
)
from keras_loader_bench.bench.report.excerpts.image_excerpts import containers, images
from keras_loader_bench.bench.report.figures.row_options import describe, differing
from keras_loader_bench.bench.report.figures.rows import not_skipped, row_label, rows_from_run
from keras_loader_bench.bench.report.figures.scaling import scalings
from keras_loader_bench.bench.report.plots import CAPTIONS
from keras_loader_bench.bench.report.ranking import apart, best_loaders, by_config, feed_case
from keras_loader_bench.bench.report.recommend import recommend
from keras_loader_bench.bench.report.sections.audit_section import audit_verdict
from keras_loader_bench.bench.report.sections.comparison_section import (
    TEXT_COLUMNS,
    comparison_table,
)
from keras_loader_bench.bench.report.sections.findings import findings
from keras_loader_bench.bench.report.sections.memory_section import scaling_findings
from keras_loader_bench.bench.report.sections.recommendation_section import recommendation_text
from keras_loader_bench.bench.report.sections.stability import run_warnings


def recommendation(run: Run, address: str) -> str:
    """Which loader to use for each set of options, and why."""
    return _listed([" ".join(recommendation_text(each)) for each in recommend(rows_from_run(run))])


def answer(run: Run, address: str) -> str:
    """Which loader to use for each set of options, without the reasons."""
    return _listed([recommendation_text(each)[0] for each in recommend(rows_from_run(run))])


def _listed(texts: Sequence[str]) -> str:
    """Write several texts as a list, a single text without one."""
    return "\n".join(f"- {text}" for text in texts) if len(texts) > 1 else "".join(texts)


def comparison(run: Run, address: str) -> str:
    """The comparison table of all loaders."""
    rows = not_skipped(rows_from_run(run))
    headings, lines, _ = comparison_table(rows, differing(rows))
    return cells.table([headings, *lines], left=TEXT_COLUMNS)


def what_it_says(run: Run, address: str) -> str:
    """The findings, one per line."""
    rows = rows_from_run(run)
    found = findings(rows, scalings(run, rows), run.environment.memory_bytes)
    return "\n".join(f"- {text}" for text in found)


def plot(run: Run, address: str, name: str) -> str:
    """The image of a plot."""
    if name not in CAPTIONS:
        raise ValueError(f"unknown plot `{name}`; choose from {', '.join(CAPTIONS)}")
    return f"![{CAPTIONS[name]}]({address}/{name}.png)"


def best(run: Run, address: str, loader: str, num_workers: str) -> str:
    """The best loader of each backend, and whether batches of another loader are identical."""
    rows = not_skipped(rows_from_run(run))
    other = row_label(loader, int(num_workers))
    headings = [
        "backend",
        "best loader",
        "feed rate (samples/s)",
        "AU of feed",
        "footprint (MiB)",
        "not ranked below it",
        cells.Markdown(f"batches of {cells.code(other)} identical"),
    ]
    lines = []
    for found in best_loaders(rows):
        row = found.row
        (beside,) = [r for r in rows if (r.config, r.label) == (row.config, other)]
        assert row.feed is not None
        lines.append(
            [
                row.backend,
                cells.code(row.label),
                cells.interval(row.feed.rate, cells.rate),
                cells.interval(row.feed.utilization, cells.fraction),
                cells.mebibytes(row.memory.footprint_bytes if row.memory else None),
                cells.Markdown(", ".join(cells.code(r.label) for r in found.tied) or "none"),
                cells.Markdown(audit_verdict(beside).partition(" `")[0]),
            ]
        )
    return cells.table([headings, *lines], left=[*headings[:2], *headings[5:]])


def training(run: Run, address: str) -> str:
    """The AU of training of every loader, for each set of options."""
    rows = not_skipped(rows_from_run(run))
    shown = differing(rows)
    texts = []
    for group in by_config(rows):
        figures = [
            f"{cells.code(row.label)} {cells.interval(row.train.utilization, cells.fraction)}"
            for row in group
            if row.train
        ]
        options = describe(group[0], shown)
        texts.append(
            f"{options}: {cells.enumeration(figures)}" if options else cells.enumeration(figures)
        )
    return "; ".join(texts)


def setup(run: Run, address: str) -> str:
    """What was measured, with which versions, on which machine."""
    rows, environment = not_skipped(rows_from_run(run)), run.environment
    sources = [
        f"{cells.prose(s.name)} ({cells.prose(s.edition)} edition, {s.num_samples:,} samples)"
        for s in run.sources
    ]
    common = describe(rows[0], without=[*differing(rows), "samples"])
    packages = environment.packages
    versions = ", ".join(f"{cells.prose(name)} {v}" for name, v in sorted(packages.items()))
    backends = environment.backends
    devices = sorted({str(backend.device) for backend in backends.values()})
    protocol = run.protocol
    measured = f"{protocol.processes} processes" if protocol.processes > 1 else "one process"
    return (
        f"{cells.enumeration(sources)}, {common}; Python {environment.python}, {versions}; "
        f"{cells.prose(environment.cpu)}, {environment.cores} cores, on "
        f"{cells.enumeration(devices)}; medians of {measured} with "
        f"{protocol.rounds_text} rounds, with 95% intervals ([report]({address}/report.md))."
    )


def warnings(run: Run, address: str) -> str:
    """The warnings of the run without their details, in one line."""
    found = run_warnings(run, not_skipped(rows_from_run(run)))
    if not found:
        return "None."
    said = [text.split("**")[1].rstrip(".") for text in found]  # their bold summaries
    link = f"{address}/report.md#what-disturbed-the-rounds"
    return f"{'. '.join(said)} ([details]({link}))."


def workers(run: Run, address: str) -> str:
    """Which loaders are clearly faster or slower with workers, over all sets of options."""
    faster: dict[str, list[float]] = {}
    slower: dict[str, list[float]] = {}
    rows = not_skipped(rows_from_run(run))
    for group in by_config(rows):
        for row in group:
            plain = next((r for r in group if r.loader == row.loader and not r.num_workers), None)
            if not row.num_workers or plain is None or not row.feed or not plain.feed:
                continue
            if (
                row.feed.rate
                and plain.feed.rate
                and apart(group, feed_case, row.label, plain.label)
            ):
                ratio = row.feed.rate.median / plain.feed.rate.median
                (faster if ratio > 1 else slower).setdefault(row.label, []).append(ratio)
    backends = len({row.backend for row in rows})
    said = [
        cells.enumeration([_times(name, r, backends) for name, r in found.items()]) or "nothing"
        for found in (slower, faster)
    ]
    return f"Workers make {said[0]} clearly slower and {said[1]} clearly faster."


def _times(name: str, ratios: Sequence[float], backends: int) -> str:
    count = f"{len(ratios)} of {backends} backends"
    return f"{cells.code(name)} ({_range(ratios)} times as fast, on {count})"


def _range(values: Sequence[float]) -> str:
    """Write the smallest and the largest value, or one if they look the same."""
    return " to ".join(dict.fromkeys(cells.fraction(end) for end in (min(values), max(values))))


def sizes(run: Run, address: str, *loaders: str) -> str:
    """The memory that the given loaders need per sample, and where they run out of it."""
    lines = {line.row.loader: line for line in scalings(run, rows_from_run(run))}
    chosen = [lines[name] for name in loaders]
    return " ".join(scaling_findings(chosen, run.environment.memory_bytes))


EXCERPTS: Mapping[str, Callable[..., str]] = MappingProxyType(
    {
        "answer": answer,
        "recommendation": recommendation,
        "comparison": comparison,
        "findings": what_it_says,
        "plot": plot,
        "best": best,
        "training": training,
        "setup": setup,
        "warnings": warnings,
        "workers": workers,
        "sizes": sizes,
        "first-batch": first_batch,
        "shortest-steps": shortest_steps,
        "ranks": ranks,
        "images": images,
        "containers": containers,
    }
)
"""The functions by the name of their excerpt."""
