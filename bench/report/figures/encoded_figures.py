"""Computes what is said of the loaders of encoded images: rates beside that of decoding alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from keras_loader_bench.bench.plan.case import CEILING
from keras_loader_bench.bench.plan.options import ROW_OPTIONS
from keras_loader_bench.bench.record.audit_record import PixelRecord
from keras_loader_bench.bench.record.process_record import ProcessRecord
from keras_loader_bench.bench.record.schema import CaseRecord, Run
from keras_loader_bench.bench.report.figures.row_options import describe, differing
from keras_loader_bench.bench.report.figures.rows import row_label
from keras_loader_bench.bench.report.figures.throughput import (
    Throughput,
    read_throughput,
    round_figures,
)
from keras_loader_bench.bench.statistics import Estimate, ratios

_NAMED = ("page_cache", "image_quality", "image_order", "augment", "ranks")
_DEFAULTS = {name: ROW_OPTIONS[name].default for name in _NAMED}
"""Options that stand above a table only where they are not the default."""


@dataclass(frozen=True, kw_only=True)
class Fed:
    """A loader of encoded images in its feed case."""

    label: str
    loader: str
    container: str
    """What it reads."""

    feed: Throughput
    """Its feed case, in images per second."""

    share: Estimate | None
    """Of the rate of decoding alone; `None` where its rounds decode nothing."""

    read_bytes: Estimate | None
    """From storage per image, where rounds begin without the files in memory."""

    pixels: str
    """`identical`, `other` where values differ and nothing else, or `wrong`; empty: not audited."""

    difference: PixelRecord | None = None


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """The loaders that were measured with one set of options, the fastest first."""

    options: str
    shuffled: bool
    """Whether their rows come in another order in each round."""

    rate: Estimate | None
    """Images per second that decoding alone reaches."""

    loaders: Sequence[Fed]


def decodings(run: Run) -> list[Decoding]:
    """Return the loaders of encoded images, by options; none where a run has no such images."""
    groups: dict[str, list[CaseRecord]] = {}
    feeds = [each for each in run.cases if each.case.image_size and each.case.bench == "feed"]
    several = {*differing(each.case for each in feeds)} - {*_NAMED}
    for result in feeds:
        given = [name for name in _NAMED if getattr(result.case, name) != _DEFAULTS[name]]
        options = describe(result.case, ("backend", "image_size", *given, *several))
        groups.setdefault(options, []).append(result)
    return [_decoding(options, groups[options]) for options in sorted(groups)]


def _decoding(options: str, results: Sequence[CaseRecord]) -> Decoding:
    fed = [_fed(each) for each in results if each.case.loader != CEILING]
    return Decoding(
        options=options,
        shuffled=results[0].case.image_order == "shuffled",
        rate=_estimate((p, _alone(p)) for each in results for p in each.processes),
        # Other pixels are another task: what is made of them is ranked apart.
        loaders=sorted(fed, key=lambda each: (each.pixels in ("other", "wrong"), -_median(each))),
    )


def _median(fed: Fed) -> float:
    return fed.feed.rate.median if fed.feed.rate else 0.0


def _fed(result: CaseRecord) -> Fed:
    feed, audit = read_throughput(result), result.audit
    assert feed is not None, "it is a feed case"
    cold = result.case.page_cache == "cold"
    pixels = ""
    if audit is not None:
        other = "other" if audit.verdict == "other_values" else "wrong"
        pixels = "identical" if audit.identical else other
    return Fed(
        label=row_label(result.case.loader, result.case.num_workers),
        loader=result.case.loader,
        container=result.case.container,
        feed=feed,
        share=_share(result),
        read_bytes=feed.read_bytes_per_sample if cold else None,
        pixels=pixels,
        difference=audit.pixels if audit else None,
    )


def _alone(process: ProcessRecord) -> list[float]:
    return ratios((d.samples for d in process.decoding), (d.seconds for d in process.decoding))


def _share(result: CaseRecord) -> Estimate | None:
    if not result.case.decodes:
        return None
    return _estimate(
        (process, [rate / alone for rate in round_figures(result.case, process.rounds)["rate"]])
        for process in result.processes
        for alone in _alone(process)
    )


def _estimate(values: Iterable[tuple[ProcessRecord, list[float]]]) -> Estimate | None:
    by_pass: dict[int, list[float]] = {}
    for process, each in values:
        by_pass.setdefault(process.number, []).extend(each)
    return Estimate.from_processes(by_pass)
