"""Renders a history as Markdown."""

from __future__ import annotations

from pathlib import Path

from keras_loader_bench.bench.compare.compare_markdown import ratio_text
from keras_loader_bench.bench.history.series import (
    MIN_CHANGE,
    POOLED_RUNS,
    POSSIBLE,
    ChangePoint,
    History,
    Series,
)
from keras_loader_bench.bench.report import cells
from keras_loader_bench.bench.report.report_markdown import environment

CAPTION = "AU of each case over the runs, with the changes marked"


def history_markdown(history: History, *, plot: str | None) -> str:
    """Return a history.

    Args:
        history: what `read_history` returned.
        plot: address of the plot; `None`: there is none.

    Returns:
        GitHub-flavoured Markdown that ends with one line break.
    """
    points = [(series, point) for series in history.series for point in series.changes]
    points.sort(key=lambda pair: (pair[0].runs[pair[1].position].started, pair[0].id))
    return (
        environment(Path(__file__).parent)
        .get_template("history.md.j2")
        .render(
            history=history,
            changes=[_change(*pair) for pair in points],
            possible=any(point.certainty == POSSIBLE for _, point in points),
            table=[_line(series) for series in history.series],
            caption=CAPTION,
            plot=plot,
            pooled=POOLED_RUNS,
            min_change=f"{MIN_CHANGE:.0%}",
        )
    )


def _change(series: Series, point: ChangePoint) -> list[str]:
    run = series.runs[point.position]
    return [
        run.started,
        cells.code(run.name),
        cells.code(series.id),
        point.change.verdict if point.certainty != POSSIBLE else f"{point.change.verdict}?",
        ratio_text(point.change.rate),
        ratio_text(point.change.utilization),
        "; ".join(point.circumstances) or "nothing recorded",
    ]


def _line(series: Series) -> list[str]:
    first, last = series.figures[0], series.figures[-1]
    return [
        cells.code(series.id),
        f"{len(series.runs)}",
        *(cells.interval(each.utilization, cells.fraction) for each in (first, last)),
        *(cells.interval(each.rate, cells.rate) for each in (first, last)),
        f"{len(series.changes)}",
    ]
