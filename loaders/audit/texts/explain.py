"""Words the problems that an audit found: which batches, the first difference, what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from keras_loader_bench.loaders.audit.parent import AuditRun, Event
from keras_loader_bench.loaders.audit.texts.endings import ending
from keras_loader_bench.loaders.audit.texts.words import Finding
from keras_loader_bench.loaders.registry import LOADERS, KnownFailure


def findings(runs: Sequence[AuditRun], timeout_s: float) -> list[Finding]:
    """Return all problems, in the order of the passes."""
    found = [*_sizes(runs[0])]
    found += [f for event in runs[0].all("pass") for f in _pass(event)]
    found += [f for i, run in enumerate(runs) for f in ending(run, timeout_s, second=i > 0)]
    return [*found, *_between(runs)]


def known_failure(run: AuditRun) -> KnownFailure | None:
    """Return the known failure of Keras if it explains the problems."""
    about, environment = run.event("input") or {}, run.event("environment") or {}
    known = LOADERS["stock_sequence"].known_failure
    workers = about.get("workers") or 0
    parallel = workers > 1 or (workers > 0 and about.get("use_multiprocessing"))
    wrong = {p["verdict"] for p in run.all("pass")} & {
        "missing_or_repeated",
        "other_order",
        "shifted",
    }
    if known and parallel and wrong and environment.get("backend") in known.backends:
        return known
    return None


def ranges(numbers: Sequence[int], most: int = 6) -> str:
    """Return the first few numbers in ascending order, as `0-10, 17`."""
    unique = sorted(set(numbers))
    pairs = groupby(enumerate(unique), key=lambda pair: pair[1] - pair[0])
    groups = [[number for _, number in group] for _, group in pairs]
    shown = [f"{g[0]}-{g[-1]}" if len(g) > 1 else str(g[0]) for g in groups[:most]]
    rest = sum(len(group) for group in groups[most:])
    return ", ".join(shown) + (f" and {rest} more" if rest else "")


def _sizes(run: AuditRun) -> Iterator[Finding]:
    reading, about = run.event("reading"), run.event("input") or {}
    if not reading:
        return
    if empty := [number for number, size in enumerate(reading["sizes"]) if not size]:
        have = "batches {} have" if len(empty) > 1 else "batch {} has"
        yield Finding(
            text=f"Read directly, {have.format(ranges(empty))} no samples; a mean over no samples "
            "is not a number, so a loss may become NaN. Do not yield empty batches."
        )
    if about.get("samples") and (said := left_out(about["samples"], reading)):
        yield Finding(text=f"Read directly, {said} (--samples {about['samples']}).")


def left_out(samples: int, reading: Event) -> str:
    """Say how many samples an epoch leaves out, or has too many; empty: neither.

    Args:
        samples: how many the input should have.
        reading: the direct reading.
    """
    came = reading["epoch_samples"]
    if came == samples:
        return ""
    off = f"{abs(samples - came):,} {'are left out' if came < samples else 'more than there are'}"
    return f"the batches of an epoch hold {came:,} of {samples:,} samples: {off}"


def _pass(event: Event) -> Iterator[Finding]:
    name, verdict = event["name"], event["verdict"]
    first = (event["difference"] or "").replace("the reference", "the direct reading")
    first = re.sub(r"^(batch \d+): (is|has|came|never)\b", r"\1 \2", first)
    first_difference = f" First difference: {first}." if first else ""
    if verdict == "missing_or_repeated":
        yield Finding(text=f"{name}: {_missing(event)}.{first_difference}")
    elif verdict == "shifted":
        yield Finding(text=f"{name}: {first}.")
    elif verdict == "other_order":
        yield Finding(text=f"{name}: every sample came, but in another order.{first_difference}")
    elif verdict == "other_values":
        yield Finding(text=f"{name}: values differ from the direct reading.{first_difference}")
    elif verdict == "other_dtype_or_shape":
        yield Finding(
            text=f"{name}: dtype or shape differs from the direct reading.{first_difference}"
        )
    if not event.get("outputs_in_order", True):
        yield Finding(text=f"{name}: the outputs were returned in another order than the inputs.")


def _missing(event: Event) -> str:
    parts = []
    for kind, what in (("missing", "never came"), ("repeated", "came more than once")):
        batches, samples = event[f"{kind}_batches"], event[f"{kind}_samples"]
        if batches:
            parts.append(f"{'batches' if len(set(batches)) > 1 else 'batch'} {ranges(batches)}")
        elif samples:
            parts.append(f"{samples:,} {'samples' if samples > 1 else 'sample'}")
        if batches or samples:
            parts[-1] += f" {what}"
    return " and ".join(parts)


def differing(runs: Sequence[AuditRun]) -> tuple[Event, Event] | None:
    """Return the first reading or pass that differs between two complete runs, one per run."""
    if len(runs) < 2 or not all(run.event("end") for run in runs):
        return None
    one, two = ([*run.all("reading"), *run.all("pass")] for run in runs)
    pairs = zip(one, two, strict=False)
    return next((pair for pair in pairs if pair[0]["digests"] != pair[1]["digests"]), None)


def random_contents(run: AuditRun) -> bool:
    """Return whether contents could not be judged, because no two readings have the same."""
    return (run.event("reading") or {}).get("promise") == "other_contents"


def _between(runs: Sequence[AuditRun]) -> Iterator[Finding]:
    if not (pair := differing(runs)) or random_contents(runs[0]):
        return  # random contents may differ between runs, as they do between readings
    event, other = pair
    same = event["content"] == other["content"]
    what = "the same samples in another order" if same else "other samples"
    digests = zip(event["digests"], other["digests"], strict=False)
    number = next((i for i, (a, b) in enumerate(digests) if a != b), None)
    at = "" if number is None else f", from batch {number} on"
    if event["event"] == "reading":
        yield Finding(
            text=f"Two runs with the same seed differ: read directly, the second had {what}{at}. "
            "Seed every random generator of the input. Seeds from the clock or the system and the "
            "order of sets differ between processes."
        )
    else:
        yield Finding(
            text=f"Two runs with the same seed differ, although direct readings do not: in "
            f"`{event['name']}` the second run got {what}{at}."
        )
