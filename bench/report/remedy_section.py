"""Says what would help an input, by what was measured of its remedies."""

from __future__ import annotations

from keras_loader_bench.bench.report import cells
from keras_loader_bench.bench.report import input_words as words
from keras_loader_bench.bench.report.input_figures import InputFigures, Tried
from keras_loader_bench.bench.statistics import Estimate

HELPS = "What would help, measured here:"
"""Stands before the lines of `what_would_help`."""


MOST_OF_COPY = 0.8
"""A copy of narrower dtypes that takes a larger share of the other's time is not worth a line."""


def what_would_help(found: InputFigures) -> list[str]:
    """Say what each remedy that applies has brought, a line each.

    First come those that help, the fastest first, then those that make no difference or a worse
    one, then those that cannot be used.
    """
    lines: list[tuple[int, float, str]] = []
    for each in found.tried:
        before = found.train if each.bench == "train" else found.feed
        if before is not None and before.rate is not None:
            line = f"{_named(each)}: {_result(each, before.rate)}"
            lines.append((_place(each, before.rate), -_median_rate(each), line))
    return [line for _, _, line in sorted(lines)] + _narrower(found)


def _place(tried: Tried, before: Estimate) -> int:
    rate = tried.figures.rate if tried.figures else None
    if tried.failure or rate is None or (tried.audit and not tried.audit.identical):
        return 2
    known = None not in (rate.low, before.low)
    return 0 if known and rate.apart_from(before) and rate.median > before.median else 1


def _narrower(found: InputFigures) -> list[str]:
    """Say what narrower dtypes would hold exactly, and what copying such a batch takes."""
    about = found.about
    if about is None or not about.narrow or "narrow_copy" not in found.parts:
        return []
    if found.parts["narrow_copy"] > MOST_OF_COPY * found.parts["copy"]:
        return []
    arrays = [
        f"{name} as {dtype} instead of {about.arrays.get(name, '').partition(' ')[0]}"
        for name, dtype in about.narrow.items()
    ]
    copies = [words.ms(found.parts[name]) for name in ("narrow_copy", "copy")]
    return [
        f"{', '.join(arrays)}, which holds the values of the first batches exactly: "
        f"the copy of a batch to the device takes {copies[0]} instead of {copies[1]}"
    ]


def _median_rate(tried: Tried) -> float:
    return tried.figures.rate.median if tried.figures and tried.figures.rate else 0.0


def _named(tried: Tried) -> str:
    size = f", {cells.mebibytes(tried.kept_bytes)} MiB" if tried.kept_bytes else ""
    return f"{tried.remedy.words}{size}"


def _result(tried: Tried, before: Estimate) -> str:
    rate = tried.figures.rate if tried.figures else None
    if tried.failure or rate is None:
        return f"failed: {cells.plain(tried.failure or 'no round')}"
    text = words.rate(rate)
    if rate.low is None or before.low is None:
        pass
    elif rate.apart_from(before):
        text += f", {cells.significant(rate.median / before.median)} times"
    else:
        text += ", no difference beyond the noise"
    if tried.audit is None:
        return f"{text}; its batches were not audited"
    if tried.remedy.joins:
        text += "; other batches, of the same samples, so that training may take another course"
    if not tried.audit.identical:
        what = cells.plain(tried.audit.first_difference or tried.audit.verdict)
        return f"{text}, but batches are wrong ({what}): do not"
    stall = tried.figures.data_stall if tried.figures else None
    return f"{text}; wait {words.percent(stall)}" if stall else text
