"""How an input is read and passed to `fit`: what each of two epochs should be given.

Pure. It knows how Keras begins an epoch: with a known number of batches anew when all have come,
otherwise where the epoch before has ended.
"""

from __future__ import annotations

from dataclasses import dataclass

from keras_loader_bench.loaders.audit.inputs.kinds import Kind, Length

RESTARTED: tuple[Kind, ...] = ("PyDataset", "tf.data dataset", "torch DataLoader", "arrays")
"""Kinds of which Keras knows the number of batches, and which it then begins anew."""

SHUFFLED: tuple[Kind, ...] = ("PyDataset", "arrays")
"""Kinds that `fit` shuffles: the batches of a PyDataset, the samples of arrays."""


@dataclass(frozen=True, kw_only=True)
class Epochs:
    """What is asked of `fit`, and what its epochs should be given."""

    steps: int | None
    """Batches of an epoch, as `fit` is told; `None`: it is not told."""

    fits: int
    """How many times `fit` is called for two epochs."""

    shuffle: bool
    """What `fit` is told where it heeds it."""

    parts: tuple[slice, slice]
    """The batches of a direct reading that the epochs should be given."""

    read: int | None
    """Batches that a direct reading takes; `None`: all."""

    first: bool = False
    """Whether every pass is given the first batches only, because a look was asked for."""


def plan(
    kind: Kind, length: Length, *, steps: int | None, batches: int | None, shuffle: bool
) -> Epochs:
    """Return what the epochs of an input should be given.

    Args:
        kind: of the input.
        length: batches of one reading.
        steps: `--steps-per-epoch`.
        batches: `--batches`, of an input that has as many.
        shuffle: whether `fit` is to shuffle where it can.
    """
    everything = slice(None)
    if batches is not None:  # new fits: within one, an epoch goes on where the last has ended
        first = (slice(batches), slice(batches))
        return Epochs(steps=batches, fits=2, shuffle=False, parts=first, read=batches, first=True)
    whole = steps is None or (steps == length and kind in RESTARTED)
    if whole:
        return Epochs(
            steps=steps,
            fits=2 if kind == "generator" else 1,
            shuffle=shuffle and kind in SHUFFLED,
            parts=(everything, everything),
            read=steps,
        )
    assert steps is not None
    parts = (slice(steps), slice(steps, 2 * steps))
    # Keras would shuffle all batches, and an epoch would be any of them.
    return Epochs(steps=steps, fits=1, shuffle=False, parts=parts, read=2 * steps)
