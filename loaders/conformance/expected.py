"""The passes over an input, what each should be given, and the verdict on what it was given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from keras_loader_bench.loaders.conformance.setups import BATCH, FEWER, KINDS, Setup

PASSES = (
    "fit, epoch 1",
    "fit, epoch 2",
    "validation, epoch 1",
    "validation, epoch 2",
    "evaluate",
    "predict",
    "fit after an exception",
    "fit resumed in mid-epoch",
)

RUNS: tuple[tuple[str, ...], ...] = (PASSES[:2], PASSES[2:4], *((name,) for name in PASSES[4:]))
"""The passes that one call of `fit`, `evaluate` or `predict` makes."""

INTERRUPTED_AFTER = 6
"""Batches that a `fit` has been given when an exception ends it; it is backed up after each two."""

Verdict = Literal[
    "identical", "other order", "missing", "repeated", "changed", "error", "hang", "not applicable"
]

Batches = Sequence[Sequence[int]]
"""Numbers of the samples of each batch; below 0: a sample that the input does not have."""


@dataclass(frozen=True)
class Expected:
    """What a pass should be given."""

    batches: tuple[tuple[int, ...], ...]
    order: str = "no"
    """What may come in another order: `batches`, `samples` or nothing (`no`)."""

    distinct: int = 0
    """If not 0: the pass may be given any of the batches, so many, and none twice."""


def batches_of(setup: Setup) -> tuple[tuple[int, ...], ...]:
    """Return the samples of each batch of an input."""
    kind = KINDS[setup.kind]
    half = kind.batch // 2 if setup.last_batch == "partial" and kind.batch == BATCH else 0
    count = kind.samples - half
    rows = range(count)
    return tuple(tuple(rows[start : start + kind.batch]) for start in range(0, count, kind.batch))


def expected(setup: Setup, name: str) -> Expected | None:
    """Return what a pass should be given; `None`: it does not apply to the input.

    Without `steps_per_epoch`, every pass gets all batches. With fewer, an epoch of `fit` goes on
    where the last one has ended, and validation begins anew each time: so Keras documents it
    (https://keras.io/api/models/model_training_apis/#fit-method).
    """
    kind = KINDS[setup.kind]
    every = batches_of(setup)
    few = setup.steps == "fewer"
    part = every[:FEWER] if few else every
    shuffled = kind.shuffled if setup.shuffle and kind.shuffled != "no" else "no"
    if name == "fit, epoch 2":
        if kind.single_use and not few:
            return None
        part = every[FEWER : 2 * FEWER] if few else every
    elif name == "validation, epoch 2" and kind.single_use:
        if not few:
            return None
        part = every[FEWER : 2 * FEWER]
    elif name == "fit resumed in mid-epoch":
        plain = setup.steps == "none" and setup.steps_per_execution == 1
        if not plain or kind.single_use or shuffled != "no":
            return None  # what is left cannot be told from what has been
        part = every[INTERRUPTED_AFTER:]
    elif name == "fit after an exception" and kind.single_use:
        return None
    if shuffled == "no" or not name.startswith("fit"):
        return Expected(part)
    if few:
        return Expected(every, shuffled, distinct=FEWER)
    return Expected(part, shuffled)


@dataclass(frozen=True)
class Found:
    """The verdict on one pass in one run."""

    verdict: Verdict
    expected: int = 0
    """How many batches should have come."""

    got: int = 0
    missing: int = 0
    """Samples that never came."""

    repeated: int = 0
    """Samples that came too often."""

    text: str = ""
    """The first line of an error, or the first difference."""


def judged(want: Expected, got: Batches) -> Found:
    """Return the verdict on what a pass was given."""
    came = [tuple(batch) for batch in got]
    count = want.distinct or len(want.batches)
    flat = [sample for batch in came for sample in batch]
    wanted = [sample for batch in want.batches for sample in batch]
    if any(sample < 0 for sample in flat):
        number = next(i for i, batch in enumerate(came) if min(batch, default=0) < 0)
        return Found("changed", count, len(came), text=f"batch {number} has values of no sample")
    repeated = Counter(flat) - Counter(wanted)
    missing = Counter(wanted) - Counter(flat)
    if want.distinct:
        size = len(want.batches[0])
        lost = max(0, want.distinct * size - len(flat)) if len(came) < want.distinct else 0
        missing = Counter(dict.fromkeys(range(lost), 1))
    numbers = {"missing": missing.total(), "repeated": repeated.total()}
    first = _first(want.batches, came)
    if missing or repeated:
        verdict: Verdict = "missing" if missing else "repeated"
        return Found(verdict, count, len(came), **numbers, text=first)
    if want.order == "samples":
        return Found("identical", count, len(came))
    whole = Counter(came) <= Counter(want.batches) if want.order == "batches" else first == ""
    return Found(
        "identical" if whole else "other order", count, len(came), text="" if whole else first
    )


def _first(want: Batches, got: Batches) -> str:
    """Say what the first difference is; nothing if there is none."""
    places = {tuple(batch): number for number, batch in enumerate(want)}
    for number, (expected_, came) in enumerate(zip(want, got, strict=False)):
        if tuple(came) != tuple(expected_):
            place = places.get(tuple(came))
            return f"batch {number} is " + ("none of them" if place is None else f"batch {place}")
    if len(got) < len(want):
        return f"batch {len(got)} never came"
    return f"{len(got) - len(want)} more came" if len(got) > len(want) else ""
