"""The section of a report on encoded images: loaders beside decoding alone, and the containers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from keras_loader_bench.bench.plan.case import CEILING
from keras_loader_bench.bench.record.process_record import ProcessRecord
from keras_loader_bench.bench.record.schema import CaseRecord, Run, SourceRecord
from keras_loader_bench.bench.report import cells
from keras_loader_bench.bench.report.figures import read_throughput, round_figures
from keras_loader_bench.bench.report.row_options import describe
from keras_loader_bench.bench.report.rows import row_label
from keras_loader_bench.bench.report.table import Table
from keras_loader_bench.bench.statistics import Estimate, ratios

WHAT = (
    "Decoding alone is timed for half a second in each process of a feed case, after its rounds: "
    "one thread per core decodes images whose bytes are in memory. The share is a loader's feed "
    "rate divided by that rate in the same process. All loaders are given the images in the order "
    "in which they are stored, which was drawn from the seed once."
)


def encoded_tables(run: Run) -> list[Table]:
    """Return a table per set of options, and one of the containers; none without such images."""
    groups: dict[str, list[CaseRecord]] = {}
    for result in run.cases:
        if result.case.image_size and result.case.bench == "feed":
            groups.setdefault(describe(result.case, ("backend", "image_size")), []).append(result)
    tables = [_loaders(options, results) for options, results in groups.items()]
    return [*tables, *(_containers(source) for source in run.sources if source.containers)]


def _loaders(options: str, results: Sequence[CaseRecord]) -> Table:
    measured = [each for each in results if each.case.loader != CEILING]
    rate = _estimate((p, _decoding(p)) for each in results for p in each.processes)
    shares = {str(each.case): _share(each) for each in measured}
    lines = [["loader", "reads", "feed rate (images/s)", "share of decoding alone"]]
    for each in sorted(measured, key=lambda each: -_median(_rate(each))):
        name = cells.code(row_label(each.case.loader, each.case.num_workers))
        share = cells.interval(shares[str(each.case)], cells.fraction)
        lines.append([name, each.case.container, cells.interval(_rate(each), cells.rate), share])
    text = "" if rate is None else f"With {options}, decoding alone reaches {_written(rate)}. "
    return Table(text=text + WHAT, lines=lines)


def _containers(source: SourceRecord) -> Table:
    lines = [["container", "seconds to write", "MiB on disk"]]
    for each in source.containers:
        written = cells.significant(each.write_s), cells.mebibytes(each.disk_bytes)
        lines.append([each.kind, *written])
    size = cells.significant((source.bytes_per_sample or 0) / 1024)
    return Table(text=f"An encoded image has {size} KiB on average.", lines=lines)


def _written(rate: Estimate) -> str:
    return f"{cells.interval(rate, cells.rate)} images/s"


def _median(rate: Estimate | None) -> float:
    return rate.median if rate else 0.0


def _decoding(process: ProcessRecord) -> list[float]:
    return ratios((d.samples for d in process.decoding), (d.seconds for d in process.decoding))


def _rate(result: CaseRecord) -> Estimate | None:
    feed = read_throughput(result)
    return feed.rate if feed else None


def _share(result: CaseRecord) -> Estimate | None:
    """Return the share of a loader; `None` for one whose rounds decode nothing."""
    if not result.case.decodes:
        return None
    return _estimate(
        (process, [rate / decoding for rate in round_figures(result.case, process.rounds)["rate"]])
        for process in result.processes
        for decoding in _decoding(process)
    )


def _estimate(values: Iterable[tuple[ProcessRecord, list[float]]]) -> Estimate | None:
    by_pass: dict[int, list[float]] = {}
    for process, each in values:
        by_pass.setdefault(process.number, []).extend(each)
    return Estimate.from_processes(by_pass)
