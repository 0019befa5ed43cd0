"""What may help an input that training waits for. Each is tried as a case of its own."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

NONE = "none"
"""In place of a remedy's name: the input as it is."""


@dataclass(frozen=True, kw_only=True)
class Remedy:
    """A change around an input that leaves its samples as they are, and mostly its batches."""

    kinds: tuple[str, ...]
    """Kinds of input that it applies to, see `loaders.audit.inputs.kinds.Kind`; empty: any."""

    words: str
    """What to write or do, as reports name it; `data` stands for the input."""

    repeats: bool = False
    """Whether it gives the batches of one epoch in all others too."""

    joins: bool = False
    """Whether each of its batches is two of the input's."""

    narrows: bool = False
    """Whether arrays get narrower dtypes, which hold the same values."""


REMEDIES = {
    "bridge": Remedy(kinds=("PyDataset",), words="bridge(data)"),
    "bridge2": Remedy(kinds=("PyDataset",), words="bridge(data), with data.workers = 2"),
    "workers2": Remedy(kinds=("PyDataset",), words="data.workers = 2, Keras' own threads"),
    "num_workers2": Remedy(kinds=("torch DataLoader",), words="DataLoader(..., num_workers=2)"),
    "prefetch": Remedy(kinds=("tf.data dataset",), words="data.prefetch(tf.data.AUTOTUNE)"),
    "mp_prefetch2": Remedy(
        kinds=("grain dataset",),
        words="data.mp_prefetch(grain.MultiprocessingOptions(num_workers=2))",
    ),
    "doubled": Remedy(
        kinds=("PyDataset", "tf.data dataset", "torch DataLoader"),
        words="batches of twice the size",
        joins=True,
    ),
    "narrow": Remedy(
        kinds=(
            *("PyDataset", "tf.data dataset", "torch DataLoader", "grain dataset"),
            *("generator", "arrays"),
        ),
        words="narrower dtypes, cast behind the input",
        narrows=True,
    ),
    "in_memory": Remedy(kinds=(), words="batches kept in memory", repeats=True),
}
"""Name of a remedy -> what is known of it. `bench.child.inputs.remedies` applies them."""


LEAST_TO_JOIN = 6
"""Batches in an epoch, of which half as many are left."""

MOST_SECONDS = 60.0
"""What an epoch may take to read, where its batches are kept in memory."""


def words_of(name: str) -> str:
    """Return how reports name a remedy in front of an input.

    Args:
        name: `NONE` or a key of `REMEDIES`; another one, of a later release, names itself.
    """
    if name == NONE:
        return "as it is"
    return REMEDIES[name].words if name in REMEDIES else name


def not_applicable(
    name: str,
    *,
    kind: str,
    steps: int,
    batches: int | None,
    seconds: float,
    promise: str | None,
    narrow: Collection[str],
) -> str | None:
    """Return why a remedy is not tried; `None`: it is.

    Args:
        name: a key of `REMEDIES`.
        kind: of the input.
        steps: batches per epoch that were asked for; 0: all.
        batches: per epoch; `None`: unknown.
        seconds: that reading an epoch takes.
        promise: what two readings of the input have in common; `None`: unknown.
        narrow: arrays of a batch that narrower dtypes would hold.
    """
    remedy = REMEDIES[name]
    if remedy.kinds and kind not in remedy.kinds:
        return f"`{remedy.words}` does not apply to a {kind}"
    if remedy.joins and (steps or (batches or LEAST_TO_JOIN) < LEAST_TO_JOIN):
        return f"{remedy.words} need epochs of {LEAST_TO_JOIN} batches or more, without `--steps`"
    if remedy.narrows and not narrow:
        return f"{remedy.words}: none holds the values of its arrays, or they are small"
    if remedy.repeats and (batches is None or steps):
        return f"{remedy.words} need an end of an epoch"
    if remedy.repeats and seconds > MOST_SECONDS:
        return f"{remedy.words}: reading an epoch takes {seconds:,.0f} s"
    if remedy.repeats and promise == "other_contents":
        return f"{remedy.words} would be the same in every epoch, and the input's are not"
    return None
