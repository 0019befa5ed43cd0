"""Says what was found about a user's input, in sentences that follow from its figures."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from keras_loader_bench.bench.record.input_record import InputRecord
from keras_loader_bench.bench.report import cells
from keras_loader_bench.bench.report.figures.input_figures import InputFigures
from keras_loader_bench.bench.report.figures.memory_figures import Memory
from keras_loader_bench.bench.report.sections import input_words as words
from keras_loader_bench.bench.statistics import Estimate

LIMITS = 0.05
"""A wait below this share of the time is none that a faster input would end."""

_MEASUREMENTS = {"feed": "Feeding", "train": "Training", "memory": "Memory"}


def input_sentences(found: InputFigures) -> list[str]:
    """Return what is known of an input, a sentence or two per line, the heading first."""
    lines = [heading(found), *_speed(found), *_memory(found), _audit(found)]
    lines.append(where_time_goes(found) or "")
    lines += [f"{_MEASUREMENTS[b]} failed: {cells.plain(m)}" for b, m in found.failures.items()]
    lines += [
        f"{_MEASUREMENTS[bench]} was not measured: {cells.plain(message)}."
        for bench, message in found.skipped.items()
    ]
    return [line for line in lines if line]


def heading(found: InputFigures) -> str:
    """Write what an input is: its class, kind, and the form of its batches."""
    about = found.about
    if about is None:
        return f"{found.name} on {found.backend}: could not be read."
    what = about.type if about.type == about.kind else f"{about.type}, a {about.kind}"
    least, most = about.batch_sizes
    size = f"{most}" if least == most else f"{least} to {most}"
    arrays = ", ".join(f"{name} {form}" for name, form in about.arrays.items())
    return f"{found.name} on {found.backend}: {what}{_end(about)}; batches of {size}: {arrays}"


def _end(about: InputRecord) -> str:
    """Say that an input is endless, or that none of its ends was seen."""
    if about.endless:
        return ", endless"
    if about.batches is None and about.looked_at:
        return (
            f", without an end in its first {about.looked_at:,} batches (`--steps N` says how many "
            "an epoch has)"
        )
    return ""


PARTS = {
    "getitem": "__getitem__",
    "next": "the generator",
    "dataset": "the dataset",
    "collate": "collate",
    "python": "its Python functions",
    "reading": "reading, which cannot be cut further from outside",
    "conversion": "Keras' conversion",
    "copy": "copy to the device",
}
"""Words for the parts of a batch's time."""

ADDS_UP = 0.05
"""Share of a batch's time by which its parts may exceed it before they are said to overlap."""


def where_time_goes(found: InputFigures) -> str | None:
    """Say what the time of a batch is spent on; `None`: that was not measured."""
    whole = found.batch_s
    if whole is None or not found.parts:
        return None
    parts = {text: found.parts[name] for name, text in PARTS.items() if name in found.parts}
    if found.step_s is not None:
        parts["the step"] = found.step_s
    rest = whole - sum(parts.values())
    if rest < -ADDS_UP * whole:
        end = f"; they add up to more because {words.ms(-rest)} of them run beside others"
    else:
        end = f", rest {words.ms(max(rest, 0.0))}"
    shares = [f"{name} {words.ms(each)} ({each / whole:.0%})" for name, each in parts.items()]
    clock = found.parts.get("clock")
    cost = "" if clock is None else f" A clock adds {cells.significant(clock * 1e6)} us."
    return f"Where a batch's {words.ms(whole)} go: {', '.join(shares)}{end}.{cost}"


def comparisons(inputs: Sequence[InputFigures]) -> list[str]:
    """Say for inputs of one backend which delivers more, where that is beyond doubt.

    Inputs are compared in training if all of them were trained on, otherwise in feeding.
    """
    lines = []
    for backend in dict.fromkeys(each.backend for each in inputs):
        those = [each for each in inputs if each.backend == backend]
        trained = all(each.train and each.train.rate for each in those)
        verb = "trains" if trained else "is delivered"
        known = [
            (each, case.rate)
            for each in those
            if (case := each.train if trained else each.feed) and case.rate
        ]
        known.sort(key=lambda pair: -pair[1].median)
        for (one, fast), (other, slow) in pairwise(known):
            if fast.low is None or slow.low is None:
                continue  # no interval, no noise to compare with
            if fast.apart_from(slow):
                times = cells.significant(fast.median / slow.median)
                lines.append(
                    f"On {backend}, {one.name} {verb} {times} times as fast as {other.name}."
                )
            else:
                lines.append(
                    f"On {backend}, {one.name} and {other.name} do not differ beyond the noise."
                )
    return lines


def _speed(found: InputFigures) -> list[str]:
    lines = []
    feed = found.feed.rate if found.feed else None
    known = found.alone and feed and None not in (found.alone.low, feed.low)
    if found.alone and feed and known and not found.alone.apart_from(feed):
        lines.append(
            f"Your input delivers {words.rate(feed)}, alone and through fit with a step that is "
            "free."
        )
    else:
        if found.alone:
            lines.append(f"Your input delivers {words.rate(found.alone)} when it is read alone.")
        if feed:
            lines.append(f"Through fit with a step that is free it delivers {words.rate(feed)}.")
    if found.ceiling and found.train and found.train.rate:
        whose = "Your model" if ":" in found.model else f"The suite's {found.model.upper()}"
        lines.append(
            f"{whose} takes {words.rate(found.ceiling)} with your batches already in memory."
        )
        wait = found.wait
        text = f"Training runs at {words.rate(found.train.rate)}"
        lines.append(
            f"{text}: {_waits(wait, found.train.rate.resolution)}." if wait else f"{text}."
        )
    return lines


def _waits(wait: Estimate, resolution: float) -> str:
    share = f"the model waits {words.percent(wait)} of the time for data"
    if wait.high is not None and max(wait.high, resolution) < LIMITS:
        return f"{share}, so a faster input would not help"
    return share


def _memory(found: InputFigures) -> list[str]:
    texts = []
    memory = found.memory
    if memory is not None and memory.footprint_bytes is not None:
        grown = _growth(memory, "an epoch" if found.whole_epochs else "a round")
        texts.append(
            f"Memory: {cells.mebibytes(memory.footprint_bytes)} MiB over the baseline{grown}."
        )
    feed = found.feed
    if feed and feed.time_to_first_batch_s:
        first = f"First batch after {words.seconds(feed.time_to_first_batch_s)}"
        if feed.epoch_boundary_s:
            first += f", {words.seconds(feed.epoch_boundary_s)} between epochs"
        texts.append(f"{first}.")
    return [" ".join(texts)] if texts else []


LEAST_GROWTH = 0.1
"""MiB; less is what records and counters of any run take."""


def _growth(memory: Memory, per: str) -> str:
    growth = memory.growth
    if growth is None or growth.low is None or growth.high is None or growth.low <= 0:
        return ""
    value, low, high = (each / 2**20 for each in (growth.value, growth.low, growth.high))
    if value < LEAST_GROWTH:
        return ""
    write = cells.significant
    return f", growing {write(value)} MiB {per} ({write(low)} - {write(high)})"


def _audit(found: InputFigures) -> str:
    audit = found.audit
    if audit is None:
        return "What fit is given was not audited."
    if not audit.identical:
        return (
            f"fit is not given what the input yields: {cells.plain(audit.first_difference or '')}."
        )
    about = found.about
    whole = about is not None and audit.batches == about.batches
    of = f"{audit.samples:,} samples, {audit.batches:,} batches"
    part = of if whole else f"audited: {of} of each pass"
    if audit.promise == "other_contents":
        what = "labels, number and form" if audit.by == "labels" else "number and form"
        return (
            f"No two readings have the same samples, so only their {what} were audited: "
            f"they are the same in fit, evaluate and predict ({part})."
        )
    if audit.promise == "drops_last":
        return f"Every sample at most once an epoch, and all but less than a batch ({part})."
    if about is None or not whole or found.steps:
        return f"fit, evaluate and predict are given what the input yields ({part})."
    return f"Every sample once an epoch, in fit, evaluate and predict ({part})."


def judged_wait(found: InputFigures, most: float) -> bool | None:
    """Return whether training waits for more than a share of its time; `None`: that is unknown."""
    wait = found.wait
    if wait is None or wait.low is None or wait.high is None:
        return None
    if wait.low > most:
        return True
    return False if wait.high <= most else None


def judgement(found: InputFigures, most: float) -> str:
    """Say whether training waits for more than a share of its time, and how long it waits."""
    limit = f"--fail-if wait={most:.0%}, {found.name} on {found.backend}"
    if found.wait is None:
        return f"{limit}: cannot be told, because training was not measured."
    verdict = judged_wait(found, most)
    if verdict is None:
        return f"{limit}: cannot be told, it waits {words.percent(found.wait)}."
    return f"{limit}: {'FAILED' if verdict else 'passed'}, it waits {words.percent(found.wait)}."
