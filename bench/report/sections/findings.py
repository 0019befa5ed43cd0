"""Draws the conclusions of a report, the section *What the numbers say*.

Only loaders with the same options are compared, and only if `bench.report.ranking` ranks them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from keras_loader_bench.bench.report.cells import (
    Markdown,
    code,
    enumeration,
    fraction,
    mebibytes,
    prose,
    rate,
    significant,
)
from keras_loader_bench.bench.report.figures.emulation import emulations
from keras_loader_bench.bench.report.figures.row_options import describe, differing
from keras_loader_bench.bench.report.figures.rows import Row, not_skipped
from keras_loader_bench.bench.report.figures.scaling import Scaling, by_options
from keras_loader_bench.bench.report.ranking import (
    Best,
    CaseOf,
    apart,
    best_loaders,
    best_of,
    by_config,
    feed_case,
    ranked_rates,
    ranked_utilizations,
    train_case,
)
from keras_loader_bench.bench.report.sections.audit_section import failure, known_mark
from keras_loader_bench.bench.report.sections.emulation_section import emulation_findings
from keras_loader_bench.bench.report.sections.memory_section import growth, scaling_findings
from keras_loader_bench.bench.statistics import Estimate, smallest_ranked_difference

MODEL_BOUND_MARGIN = 10
"""Ratio of feed to training rate from which the model is called the limit. Even if nothing
overlapped, the model would then wait for less than a tenth of the time."""

WAITS_BELOW_AU = 0.9
"""If the interval of AU of training lies below this, the report says that the model waits."""

LEAK_BYTES = 2**17
"""Growth per round, interval included, above which the report says that memory grows."""

Estimates = Mapping[str, Estimate]

_RATES = {"feeds": "feed rate", "trains": "training rate"}


def findings(
    rows: Sequence[Row], lines: Sequence[Scaling] = (), memory_bytes: int | None = None
) -> list[Markdown]:
    """Return the findings of a run.

    Args:
        rows: the result of `rows_from_run`, sorted by options.
        lines: the result of `scalings`.
        memory_bytes: memory of the machine; `None` if unknown.

    Returns:
        With several backends the best loader of each; then findings on wrong batches, feed rate,
        workers, training and memory, grouped by options; then the smallest difference that the
        rounds could have shown.
    """
    shown = not_skipped(rows)
    names = differing(shown)
    sentences = [_best_loaders(shown, names)] if "backend" in names else []
    for group in by_config(shown):
        place = describe(group[0], names)
        # With several sizes, `_scalings` reports memory.
        memory = () if lines else (_memory,)
        said = [text for say in (_audit, _feed, _workers, _train, *memory) if (text := say(group))]
        said += [text for text in [_leaks(group)] if text]
        sentences += [f"**{prose(place)}**: {' '.join(said)}"] if place and said else said
    sentences += _scalings(lines, memory_bytes)
    sentences += emulation_findings(emulations(shown))
    return [Markdown(sentence) for sentence in [*sentences, _precision(shown)] if sentence]


def _best_loaders(rows: Sequence[Row], names: Sequence[str]) -> str | None:
    """List the best loader of each backend that has one."""
    lines = [f"  - {prose(describe(b.row, names))}: {_best(b)}" for b in best_loaders(rows)]
    return "\n".join(["**Best loader of each backend**, by feed rate:", *lines]) if lines else None


def _best(found: Best) -> str:
    rates = ranked_rates([found.row, *found.tied, *found.slower], feed_case)
    text = _with_rates(rates, [found.row.label])
    if found.beyond_doubt:
        return f"{text}, clearly ahead"
    if rates[found.row.label].low is None:
        return f"{text}, {rates[found.row.label].shortage} to rank it"
    if found.tied:
        return f"{text}, not ranked above {_with_rates(rates, [row.label for row in found.tied])}"
    return f"{text}, with no other loader to compare"


def _audit(rows: Sequence[Row]) -> str | None:
    """List the rows with wrong batches, grouped by what is wrong."""
    alike: dict[str, list[str]] = {}
    for row in rows:
        if row.identical is False:
            alike.setdefault(f"{failure(row)}{known_mark(row)}", []).append(code(row.label))
    if not alike:
        return None
    reasons = [f"{enumeration(labels)}: {how}" for how, labels in alike.items()]
    return f"**Wrong batches, therefore not ranked** ([audit](#audit)): {'; '.join(reasons)}."


def _feed(rows: Sequence[Row]) -> str | None:
    return _ranking(rows, feed_case, "feeds")


def _workers(rows: Sequence[Row]) -> str | None:
    """Report loaders that are clearly faster or slower with workers than without."""
    rates = ranked_rates(rows, feed_case)
    plain = {row.loader: row.label for row in rows if not row.num_workers}
    said = []
    for row in rows:
        base = plain.get(row.loader)
        if row.num_workers and base and apart(rows, feed_case, row.label, base):
            ratio = significant(rates[row.label].median / rates[base].median)
            noun = "workers make" if row.num_workers > 1 else "worker makes"
            said.append(f"{row.num_workers} {noun} {code(row.loader)} {ratio} times as fast")
    if not said:
        return None
    return f"Compared to no workers, {enumeration(said)} in feeding, by rate and by AU."


def _train(rows: Sequence[Row]) -> str | None:
    waits = [
        f"{code(name)} ({fraction(1 - au.median)} of the time)"
        for name, au in ranked_utilizations(rows, train_case).items()
        if au.high is not None and au.high < WAITS_BELOW_AU
    ]
    if not waits and (bound := _model_bound(rows)):
        return bound
    sentence = _ranking(rows, train_case, "trains")
    return f"{sentence} The model waits for {enumeration(waits)}." if waits else sentence


def _model_bound(rows: Sequence[Row]) -> str | None:
    """Report that every loader could feed the model many times over, if that is so."""
    feeds, trains = ranked_rates(rows, feed_case), ranked_rates(rows, train_case)
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
        f"{_with_rates(feeds, [slowest])} feeds {math.floor(margin)} times as many samples "
        "per second as any case trained, intervals included, so training rates are not ranked."
    )


def _memory(rows: Sequence[Row]) -> str | None:
    measured = [
        (row.label, row.memory.metric, row.memory.footprint_bytes)
        for row in rows
        if row.memory and row.memory.footprint_bytes is not None and row.may_be_ranked(row.memory)
    ]
    if not measured or len({metric for _, metric, _ in measured}) > 1:
        return None  # figures of different metrics are not compared
    needs = {label: footprint for label, _, footprint in measured}
    most, least = max(needs, key=needs.__getitem__), min(needs, key=needs.__getitem__)
    other = f", {code(least)} {mebibytes(needs[least])} MiB" * (most != least)
    return f"{code(most)} needs {mebibytes(needs[most])} MiB over the baseline{other}."


def _leaks(rows: Sequence[Row]) -> str | None:
    """List the loaders whose memory clearly grows with every round."""
    leaks = [
        f"{code(row.label)} by {growth(row.memory.growth)} MiB"
        for row in rows
        if row.memory
        and row.memory.growth
        and row.memory.growth.low is not None
        and row.memory.growth.low > LEAK_BYTES
    ]
    return f"Memory grows with every round: {enumeration(leaks)}." if leaks else None


def _scalings(lines: Sequence[Scaling], memory_bytes: int | None) -> list[str]:
    """Report the memory that loaders need per sample, grouped by options."""
    return [
        " ".join([f"**Memory{f', {prose(place)}' if place else ''}**:", *said])
        for place, group in by_options(lines).items()
        if (said := scaling_findings(group, memory_bytes))
    ]


def _precision(rows: Sequence[Row]) -> str | None:
    shown = []
    for name, case in {"feed rate": feed_case, "training rate": train_case}.items():
        found = [
            # A rate that differs is ranked only where AU, which differs as much, tells it too.
            smallest_ranked_difference(figures.values())
            for group in by_config(rows)
            for figures in (ranked_rates(group, case), ranked_utilizations(group, case))
            if sum(each.low is not None for each in figures.values()) > 1
        ]
        known = [difference for difference in found if difference is not None]
        if known and len(known) == len(found):
            shown.append(f"{math.ceil(max(known) * 100)}% in {name}")
    if not shown:
        return None
    return (
        "The smallest difference between two loaders that this run would certainly have shown "
        f"is {enumeration(shown)}; smaller differences may exist."
    )


def _ranking(rows: Sequence[Row], case: CaseOf, verb: str) -> str | None:
    rates, utilizations = ranked_rates(rows, case), ranked_utilizations(rows, case)
    unclear = [name for name in rates if rates[name].low is None or name not in utilizations]
    sentences = []
    if found := best_of([row for row in rows if row.label not in unclear], case):
        sentences.append(_fastest(rates, found, verb))
    if unclear:
        sentences.append(
            f"{rates[unclear[0]].shortage.capitalize()} to rank {_with_rates(rates, unclear)}."
        )
    return " ".join(sentences) or None


def _fastest(rates: Estimates, found: Best, verb: str) -> str:
    top, tied = found.row.label, [row.label for row in found.tied]
    rest = sorted((row.label for row in found.slower), key=lambda name: -rates[name].median)
    speed = f"{rate(rates[top].median)} samples/s"
    if not tied and not rest:
        return f"{code(top)} {verb} {speed}; no other loader to compare."
    if not tied:
        ratio = significant(rates[top].median / rates[rest[0]].median)
        return f"{code(top)} {verb} fastest: {speed}, {ratio} times {_with_rates(rates, rest[:1])}."
    text = (
        f"No clear winner in {_RATES[verb]}: {code(top)} ({speed}) is not proven faster, by rate "
        f"and by AU, than {_with_rates(rates, tied)}."
    )
    return f"{text} It is faster than {_with_rates(rates, rest)}." if rest else text


def _with_rates(rates: Estimates, names: Sequence[str]) -> str:
    return enumeration([f"{code(name)} ({rate(rates[name].median)})" for name in names])
