"""Compares what several ranks were given with what they should have trained on together.

Pure functions.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

Batches = Sequence[Sequence[str]]
"""A digest of every sample, by batch."""


@dataclass(frozen=True, kw_only=True)
class Shares:
    """What the ranks were given in one pass."""

    name: str
    """Of the pass."""

    steps: tuple[int, ...]
    """Batches of each rank."""

    samples: tuple[int, ...]
    """Of each rank."""

    expected: int
    """Samples of the whole input."""

    missing: int
    """Samples of it that no rank was given."""

    shared: int
    """How often a sample came that another rank was given too."""

    repeated: int
    """How often a sample came again on one rank, beyond how often the input has it."""

    strangers: int
    """Samples that the whole input does not have."""

    uneven_step: int | None
    """The first step in which ranks had unequal numbers of samples; `None`: there is none."""

    all_had_all: bool
    """Whether every rank was given the whole input."""

    @property
    def unequal_steps(self) -> bool:
        """Whether ranks took different numbers of steps."""
        return len(set(self.steps)) > 1

    @property
    def right(self) -> bool:
        """Whether no sample came twice, none was left out, and all ranks took as many steps."""
        wrong = self.missing or self.shared or self.repeated or self.strangers
        return not wrong and not self.unequal_steps


def shares_of(name: str, whole: Batches, ranks: Sequence[Batches]) -> Shares:
    """Return what ranks were given in one pass.

    Args:
        name: of the pass.
        whole: the input as one rank alone reads it; a sample may come in it more than once.
        ranks: what each rank was given.
    """
    expected = _samples(whole)
    given = [_samples(each) for each in ranks]
    together: Counter[str] = sum(given, Counter())
    surplus = together - expected
    strangers = sum(count for sample, count in surplus.items() if sample not in expected)
    repeated = sum(
        count for each in given for sample, count in (each - expected).items() if sample in expected
    )
    steps = tuple(len(each) for each in ranks)
    return Shares(
        name=name,
        steps=steps,
        samples=tuple(each.total() for each in given),
        expected=expected.total(),
        missing=(expected - together).total(),
        shared=surplus.total() - strangers - repeated,
        repeated=repeated,
        strangers=strangers,
        uneven_step=next(
            (
                step
                for step in range(min(steps, default=0))
                if len({len(each[step]) for each in ranks}) > 1
            ),
            None,
        ),
        all_had_all=len(ranks) > 1 and all(each == expected for each in given),
    )


def same_epochs(one: Sequence[Batches], other: Sequence[Batches]) -> bool:
    """Return whether every rank was given the same samples in the same order in two epochs."""
    return all(
        list(chain.from_iterable(a)) == list(chain.from_iterable(b))
        for a, b in zip(one, other, strict=True)
    )


def never_given(whole: Batches, epochs: Sequence[Sequence[Batches]]) -> int:
    """Return how many samples of the input no rank was given in any epoch."""
    given = {sample for ranks in epochs for each in ranks for batch in each for sample in batch}
    return len(_samples(whole).keys() - given)


def _samples(batches: Batches) -> Counter[str]:
    return Counter(chain.from_iterable(batches))
