"""Where images are augmented, and what that costs: a table per benchmark and set of options."""

from __future__ import annotations

from collections.abc import Sequence
from typing import get_args

from keras_loader_bench.bench.plan.case import CEILING
from keras_loader_bench.bench.plan.option import Augment
from keras_loader_bench.bench.record.schema import CaseRecord, Run
from keras_loader_bench.bench.report import cells
from keras_loader_bench.bench.report.figures.row_options import describe, differing
from keras_loader_bench.bench.report.figures.rows import row_label
from keras_loader_bench.bench.report.figures.throughput import read_throughput
from keras_loader_bench.bench.report.sections.table import Table

_RATES = {
    "feed": "Feed rates in images/s by where images are augmented, with {}.",
    "train": "Training rates in images/s by where images are augmented, with {}.",
}

_DRAWN = (
    "In the loader, each image has a part of its own, drawn from the seed and the epoch, and "
    "every second one is mirrored; all loaders draw the same, and the audit compares these parts. "
    "For the model, loaders give larger images, which the audit compares, and training cuts and "
    "flips them in Keras' layers RandomFlip and RandomCrop; the latter draws one part for all "
    "images of a batch. A feed case has no such layers: its figure is that of the larger images."
)


def augmentation_tables(run: Run) -> list[Table]:
    """Return the tables; none where all images of a run are augmented alike."""
    if len({each.case.augment for each in run.cases}) < 2:
        return []
    unsaid = {"samples"} - {*differing(each.case for each in run.cases)}
    tables: list[Table] = []
    for bench, text in _RATES.items():
        groups: dict[str, list[CaseRecord]] = {}
        for result in run.cases:
            if result.case.bench == bench and result.case.loader != CEILING:
                options = describe(result.case, without=["augment", *unsaid])
                groups.setdefault(options, []).append(result)
        for options, results in groups.items():
            lines = _lines(results)
            about = text.format(options)
            tables.append(Table(text=about if tables else f"{about} {_DRAWN}", lines=lines))
    return tables


def _lines(results: Sequence[CaseRecord]) -> list[list[str]]:
    rates: dict[str, dict[str, str]] = {}
    for result in results:
        label = row_label(result.case.loader, result.case.num_workers)
        figure = cells.measured(
            read_throughput(result), lambda each: cells.interval(each.rate, cells.rate)
        )
        rates.setdefault(label, {})[result.case.augment] = figure
    places = [each for each in get_args(Augment) if any(each in row for row in rates.values())]
    lines = [
        [cells.code(label), *(row.get(place, cells.NOT_RUN) for place in places)]
        for label, row in rates.items()
    ]
    return [["loader", *places], *lines]
