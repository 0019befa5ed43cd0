"""Renders a self-test as Markdown, from its template `self_test.md.j2`."""

from __future__ import annotations

from pathlib import Path

from keras_loader_bench.bench.compare.self_test import SLOWDOWNS, SelfTest, advice, cuts, self_test
from keras_loader_bench.bench.record.schema import Run
from keras_loader_bench.bench.report import cells
from keras_loader_bench.bench.report.figures.resolution import BENCH_NAMES
from keras_loader_bench.bench.report.report_markdown import environment
from keras_loader_bench.bench.statistics import CONFIDENCE


def self_test_markdown(run: Run, name: str) -> str:
    """Return the tables of a self-test as GitHub-flavoured Markdown.

    Args:
        run: one whose timed cases have many processes.
        name: what it is called.

    Raises:
        RunFileError: see `cut`.
    """
    sizes = cuts(run)
    found = [each for runs in sizes for each in self_test(runs)]
    found.sort(key=lambda each: (each.backend, each.bench))  # sizes stay in order
    runs = sizes[0]
    return (
        environment(Path(__file__).parent)
        .get_template("self_test.md.j2")
        .render(
            name=name,
            environment=run.environment,
            parts=[f"{len(each)} with {each[0].protocol.processes} passes" for each in sizes],
            protocol=runs[0].protocol,
            slowdowns=[f"{each:.0%}" for each in SLOWDOWNS],
            table=[_line(each) for each in found],
            advice=advice(runs),
            confidence=f"{CONFIDENCE:.0%}",
        )
    )


def _line(found: SelfTest) -> list[str]:
    shares = [found.apart, found.unsound, found.changed, *found.found.values()]
    texts = [f"{each.count:,} of {each.of:,}" if each.of else cells.NOT_RUN for each in shares]
    name = BENCH_NAMES.get(found.bench, found.bench)
    return [found.backend, name, str(found.passes), *texts]
