"""What the numbers say, in a few sentences that hold whatever the numbers are.

Owns: which conclusions are drawn. Only loaders with the same options are compared, only cases that
ended well and whose batches are proven identical, and no two of them are ranked whose intervals
overlap.
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

MODEL_BOUND_AU = 0.9
"""From this AU of training on the model is the limit: the pass mark of MLPerf Storage."""

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
    return _ranking(_rates(rows, lambda row: row.feed), "feeds")


def _train(rows: Sequence[Row]) -> str | None:
    rates = _rates(rows, lambda row: row.train)
    stalls = {
        row.loader: row.train.utilization
        for row in rows
        if row.loader in rates and row.train and row.train.utilization
    }
    lows = [-1.0 if au.low is None else au.low for au in stalls.values()]
    if lows and len(lows) == len(rates) and min(lows) >= MODEL_BOUND_AU:
        bound = math.floor(min(lows) * 100) / 100
        return (
            "The model, not the loader, limits training here: every loader compared keeps its "
            f"AU of training at or above {bound:.2f}, interval included."
        )
    waits = [
        f"{code(name)} ({fraction(1 - au.median)} of the time)"
        for name, au in stalls.items()
        if au.high is not None and au.high < MODEL_BOUND_AU
    ]
    sentence = _ranking(rates, "trains")
    return f"{sentence} The model waits for {enumeration(waits)}." if waits else sentence


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
        f"Between any two loaders these rounds could have shown a difference of "
        f"{enumeration(shown)}; a smaller one can stay hidden."
    )


def _rates(rows: Sequence[Row], case: Callable[[Row], Throughput | None]) -> dict[str, Estimate]:
    """The rates that may be ranked, by loader."""
    return {
        row.loader: measured.rate
        for row in rows
        if (measured := case(row)) and measured.rate and row.may_be_ranked(measured)
    }


def _ranking(rates: Estimates, verb: str) -> str | None:
    if not rates:
        return None
    unclear = [name for name, estimate in rates.items() if estimate.low is None]
    clear = {name: estimate for name, estimate in rates.items() if name not in unclear}
    sentences = [_fastest(clear, verb)] if clear else []
    if unclear:
        sentences.append(f"Too few rounds to rank {_with_rates(rates, unclear)}.")
    return " ".join(sentences)


def _fastest(rates: Estimates, verb: str) -> str:
    top = best(rates)
    first = leaders(rates)
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
        f"No loader {verb} fastest beyond doubt: the intervals of {_with_rates(rates, first)} "
        "samples/s overlap"
        f"{'' if len(first) == 2 else ' that of the highest median'}, so they are not ranked."
    )
    return f"{tied} Slower than {code(top)}: {_with_rates(rates, rest)}." if rest else tied


def _with_rates(rates: Estimates, names: Sequence[str]) -> str:
    return enumeration([f"{code(name)} ({rate(rates[name].median)})" for name in names])
