"""Says what would help an input, by what was measured of its remedies."""

from __future__ import annotations

from keras_loader_bench.bench.record.input_record import InputRecord
from keras_loader_bench.bench.report import cells
from keras_loader_bench.bench.report.figures.input_figures import InputFigures, Tried
from keras_loader_bench.bench.report.sections import input_words as words
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
            line = f"{_named(each, found)}: {_result(each, before.rate)}"
            if each.remedy.narrows and (copies := _copies(found)):
                line += f"; {copies}"
            lines.append((_place(each, before.rate), -_median_rate(each), line))
    return [line for _, _, line in sorted(lines)] + _narrower(found)


def _place(tried: Tried, before: Estimate) -> int:
    rate = tried.figures.rate if tried.figures else None
    if tried.failure or rate is None or (tried.audit and not tried.audit.identical):
        return 2
    known = None not in (rate.low, before.low)
    return 0 if known and rate.apart_from(before) and rate.median > before.median else 1


def _narrower(found: InputFigures) -> list[str]:
    """Say what narrower dtypes would hold exactly, where it was not tried."""
    tried = any(each.remedy.narrows for each in found.tried)
    if tried or found.about is None or not found.about.narrow or not _copies(found):
        return []
    held = "which holds the values of the first batches exactly"
    return [f"{_narrow_arrays(found.about)}, {held}: {_copies(found)}"]


def _narrow_arrays(about: InputRecord) -> str:
    """Name the arrays of an input that narrower dtypes hold, with these."""
    return ", ".join(
        f"{name} as {dtype} instead of {about.arrays.get(name, '').partition(' ')[0]}"
        for name, dtype in about.narrow.items()
    )


def _copies(found: InputFigures) -> str:
    """Say what copying a batch of narrower dtypes takes; nothing if that is not much less."""
    narrow, own = (found.parts.get(name) for name in ("narrow_copy", "copy"))
    if narrow is None or own is None or narrow > MOST_OF_COPY * own:
        return ""
    took = f"{words.ms(narrow)} instead of {words.ms(own)}"
    return f"the copy of a batch to the device takes {took}"


def _median_rate(tried: Tried) -> float:
    return tried.figures.rate.median if tried.figures and tried.figures.rate else 0.0


def _named(tried: Tried, found: InputFigures) -> str:
    if tried.remedy.narrows and found.about is not None and found.about.narrow:
        return f"{_narrow_arrays(found.about)}, cast behind the input"
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
    if tried.remedy.narrows and tried.audit.identical:
        text += "; the same values"
    if tried.remedy.joins:
        text += "; other batches, of the same samples, so that training may take another course"
    if not tried.audit.identical:
        what = cells.plain(tried.audit.first_difference or tried.audit.verdict)
        return f"{text}, but batches are wrong ({what}): do not"
    # A step that is free always waits.
    stall = tried.figures.data_stall if tried.figures and tried.bench == "train" else None
    return f"{text}; wait {words.percent(stall)}" if stall else text
