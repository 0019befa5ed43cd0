"""Finds the Pareto front of speed and memory."""

from __future__ import annotations

from collections.abc import Sequence

from keras_loader_bench.bench.report.figures.rows import Row


def pareto_front(rows: Sequence[Row]) -> list[Row]:
    """Return the rows of which no other has a higher feed rate and no larger footprint.

    By medians alone, so that a row on the front may owe it to chance. Rows whose cases ended badly
    or whose batches are not proven identical take no part.

    Args:
        rows: those of one set of options.

    Returns:
        By ascending footprint, and so by ascending rate.
    """
    points = sorted(
        (
            (row.memory.footprint_bytes, -row.feed.rate.median, row.label, row)
            for row in rows
            if row.feed is not None
            and row.feed.rate is not None
            and row.memory is not None
            and row.memory.footprint_bytes is not None
            and row.may_be_ranked(row.feed)
            and row.may_be_ranked(row.memory)
        ),
        key=lambda point: point[:3],
    )
    front: list[Row] = []
    fastest = 0.0
    for _, slowness, _, row in points:
        if -slowness > fastest:
            fastest = -slowness
            front.append(row)
    return front
