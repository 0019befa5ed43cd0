"""What the numbers say, in a few sentences that hold whatever the numbers are.

Owns: which conclusions are drawn. Only loaders with the same options are compared, only cases that
ended well and whose batches are proven identical, and no two of them are ranked whose intervals
overlap, be it in the rate or in AU: a rate says that a process was slower, AU that its loader was.
Must not know: how figures are derived, files.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby

from bench.report.cells import (
    Markdown,
    code,
    enumeration,
    fraction,
    mebibytes,
    prose,
    rate,
    significant,
)
from bench.report.options import describe, differing
from bench.report.rows import Row, Throughput
from bench.statistics import Estimate, best, leaders, smallest_ranked_difference

MODEL_BOUND_MARGIN = 10
"""Feed rate / training rate from which on the model is the limit: even if nothing overlapped, the
model would wait for less than a tenth of the time."""

WAITS_BELOW_AU = 0.9
"""With an AU of training below this, interval included, the report says that the model waits."""

Estimates = Mapping[str, Estimate]


def findings(rows: Sequence[Row]) -> list[Markdown]:
    """Say what the numbers say.

    Args:
        rows: what `rows_from_run` returned: sorted by options.

    Returns:
        A finding each on wrong batches, feeding, training and memory, as far as there is
        something to say, and one on the smallest difference that the rounds could have shown.
        Where options differ, all findings on one set of them stand together.
    """
    names = differing(rows)
    sentences = []
    for _, block in groupby(rows, key=lambda row: row.config):
        group = list(block)
        place = describe(group[0], names)
        said = [text for say in (_audit, _feed, _train, _memory) if (text := say(group))]
        sentences += [f"**{prose(place)}**: {' '.join(said)}"] if place and said else said
    sentences += filter(None, [_precision(rows)])
    return [Markdown(sentence) for sentence in sentences]


def _audit(rows: Sequence[Row]) -> str | None:
    wrong = [row for row in rows if row.identical is False]
    if not wrong:
        return None
    reasons = [f"{code(r.loader)} ({prose(r.difference or 'no details')})" for r in wrong]
    return f"**Wrong batches, therefore not ranked**: {enumeration(reasons)}."


def _feed(rows: Sequence[Row]) -> str | None:
    return _ranking(rows, lambda row: row.feed, "feeds")


def _train(rows: Sequence[Row]) -> str | None:
    waits = [
        f"{code(name)} ({fraction(1 - au.median)} of the time)"
        for name, au in _utilizations(rows, lambda row: row.train).items()
        if au.high is not None and au.high < WAITS_BELOW_AU
    ]
    if not waits and (bound := _model_bound(rows)):
        return bound
    sentence = _ranking(rows, lambda row: row.train, "trains")
    return f"{sentence} The model waits for {enumeration(waits)}." if waits else sentence


def _model_bound(rows: Sequence[Row]) -> str | None:
    """Say so where every loader that was trained with could feed the model many times over."""
    feeds, trains = _rates(rows, lambda row: row.feed), _rates(rows, lambda row: row.train)
    lows = {name: feeds[name].low for name in trains if name in feeds}
    highs = [estimate.high for estimate in trains.values()]
    known_lows = {name: low for name, low in lows.items() if low is not None}
    known_highs = [high for high in highs if high is not None]
    if not trains or len(known_lows) < len(trains) or len(known_highs) < len(trains):
        return None
    slowest = min(known_lows, key=known_lows.__getitem__)
    margin = known_lows[slowest] / max(known_highs)
    if margin < MODEL_BOUND_MARGIN:
        return None
    return (
        "The model, not the loader, limits training here: even "
        f"{_with_rates(feeds, [slowest])} feeds {math.floor(margin)} times as many samples a "
        "second as any case trained, intervals included, so training rates are not ranked."
    )


def _memory(rows: Sequence[Row]) -> str | None:
    needs = {
        row.loader: row.memory.footprint_bytes
        for row in rows
        if row.memory and row.memory.footprint_bytes is not None and row.may_be_ranked(row.memory)
    }
    if not needs:
        return None
    most, least = max(needs, key=needs.__getitem__), min(needs, key=needs.__getitem__)
    text = f"{code(most)} needs {mebibytes(needs[most])} MiB over the baseline"
    if most != least:
        text += f", {code(least)} {mebibytes(needs[least])} MiB"
    return f"{text} (one measurement each, so without an interval)."


def _precision(rows: Sequence[Row]) -> str | None:
    benches: dict[str, Callable[[Row], Throughput | None]] = {
        "feed rate": lambda row: row.feed,
        "training rate": lambda row: row.train,
    }
    shown = []
    for name, case in benches.items():
        groups = [list(block) for _, block in groupby(rows, key=lambda row: row.config)]
        found = [smallest_ranked_difference(_rates(group, case).values()) for group in groups]
        if differences := [difference for difference in found if difference is not None]:
            shown.append(f"{math.ceil(max(differences) * 100)}% in {name}")
    if not shown:
        return None
    return (
        "The smallest difference between any two loaders that these rounds were sure to show is "
        f"{enumeration(shown)}; a smaller one can stay hidden."
    )


def _rates(rows: Sequence[Row], case: Callable[[Row], Throughput | None]) -> dict[str, Estimate]:
    """The rates that may be ranked, by loader."""
    return {
        row.loader: measured.rate
        for row in rows
        if (measured := case(row)) and measured.rate and row.may_be_ranked(measured)
    }


def _utilizations(
    rows: Sequence[Row], case: Callable[[Row], Throughput | None]
) -> dict[str, Estimate]:
    """AU of the loaders whose rates may be ranked."""
    ranked = _rates(rows, case)
    return {
        row.loader: measured.utilization
        for row in rows
        if row.loader in ranked and (measured := case(row)) and measured.utilization
    }


def _ranking(
    rows: Sequence[Row], case: Callable[[Row], Throughput | None], verb: str
) -> str | None:
    rates, utilizations = _rates(rows, case), _utilizations(rows, case)
    unclear = [name for name in rates if rates[name].low is None or name not in utilizations]
    clear = {name: estimate for name, estimate in rates.items() if name not in unclear}
    sentences = []
    if clear:
        # Ahead in either: a loader is called slower only if both figures say so.
        ahead = {*leaders(clear), *leaders({name: utilizations[name] for name in clear})}
        sentences.append(_fastest(clear, [name for name in clear if name in ahead], verb))
    if unclear:
        sentences.append(f"Too few rounds to rank {_with_rates(rates, unclear)}.")
    return " ".join(sentences) or None


def _fastest(rates: Estimates, first: Sequence[str], verb: str) -> str:
    top = best(rates)
    rest = sorted((name for name in rates if name not in first), key=lambda n: -rates[n].median)
    fastest = f"{code(top)} {verb} fastest: {rate(rates[top].median)} samples/s"
    if len(rates) == 1:
        return (
            f"{code(top)} {verb} {rate(rates[top].median)} samples/s, with none to compare it to."
        )
    if len(first) == 1:
        ratio = rates[top].median / rates[rest[0]].median
        return f"{fastest}, {significant(ratio)} times {_with_rates(rates, rest[:1])}."
    tied = (
        f"No loader {verb} fastest beyond doubt: {_with_rates(rates, first)} samples/s are not "
        "ranked, because intervals of rate or AU overlap."
    )
    return f"{tied} Slower than {code(top)}: {_with_rates(rates, rest)}." if rest else tied


def _with_rates(rates: Estimates, names: Sequence[str]) -> str:
    return enumeration([f"{code(name)} ({rate(rates[name].median)})" for name in names])
