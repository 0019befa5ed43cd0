"""Finds the size of a round of a user's input, and of its audit."""

from __future__ import annotations

import math

LEAST_BATCHES = 12
"""In a round, where an epoch has so many: of fewer, a mean says little."""

MOST_EPOCHS = 20

MOST_WAITING = 6
"""How many times as long as its timed batches a round may take, with what comes before the first of
each `fit`: processes that are started, buffers that are filled."""

AUDIT_SECONDS = 4.0
"""About how long a pass of the audit may take; a longer epoch is audited in part."""

RECORDING_SECONDS = 0.005
"""What recording a batch takes at least: a step that is not compiled. Measured: 3 to 12 ms."""


def size_of_round(
    wanted: float, *, each: float, whole: float, most: int, step: int
) -> dict[str, int]:
    """Return the `batches` of each `fit` of a round, and its `epochs`: how many such calls it is.

    Args:
        wanted: seconds of timed batches.
        each: seconds per batch.
        whole: seconds of a `fit` of an epoch, or of its beginning, from start to end.
        most: batches of an epoch.
        step: batches of an execution; Keras trains on whole ones only.
    """
    each = max(each, 1e-6)
    batches = max(round(wanted / each), LEAST_BATCHES)
    batches = min(math.ceil(batches / step) * step, most)
    epochs = min(round(wanted / (each * batches)), MOST_EPOCHS, int(MOST_WAITING * wanted / whole))
    return {"batches": batches, "epochs": max(1, epochs)}


def audited_batches(seconds_per_batch: float) -> int:
    """Return how many batches of a pass are audited, of an input that takes so long for each."""
    return max(LEAST_BATCHES, int(AUDIT_SECONDS / max(seconds_per_batch, RECORDING_SECONDS)))
