"""The protocol of a run: number and length of rounds, and limits."""

from __future__ import annotations

import math
from dataclasses import dataclass

METHOD = 1
"""Raised whenever ceiling, models, protocol or audit change so that figures before and after must
not be compared. Runs that do not record it have 0."""


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How every case of a run is measured."""

    rounds: int = 15
    """Timed rounds per case, each paired with a ceiling round. Many short rounds give narrower
    intervals than few long ones in the same time: 0.6 s is hardly noisier than 1 s."""

    round_seconds: float = 0.6
    """Approximate length of a round, at most a whole epoch."""

    accelerator_round_seconds: float = 2.0
    """Shortest length of a round on an accelerator, in whole epochs of one `fit`.

    NVML updates its energy counter every 100 ms, which is 5% of a round of 2 s."""

    seed: int = 0
    """Seed of the sample order and of synthetic images."""

    memory_rounds: int = 6
    """Calls of `fit` in a memory case: a warm-up epoch, and five rounds that show whether memory
    grows. The number is the same at every size, as allocators keep more the more they handled."""

    memory_round_samples: int = 50_000
    """Most samples of a memory round after the first epoch, as many as CIFAR-10 has. A smaller
    source is read in whole epochs."""

    case_timeout_s: float = 600.0
    """Seconds after which a case is ended and reported as a timeout."""

    memory_budget_bytes: int | None = None
    """Memory that a memory case may use over its baseline; `None` for no limit."""

    quick: bool = False
    """Whether this is a smoke run, with too few rounds for conclusions."""

    def __post_init__(self) -> None:
        counts = ("rounds", "memory_rounds", "memory_round_samples")
        for name in (*counts, "round_seconds", "accelerator_round_seconds", "case_timeout_s"):
            if not 0 < getattr(self, name) < math.inf:  # false for NaN too
                raise ValueError(f"`{name}` must be positive, got {getattr(self, name)}.")
        if self.memory_budget_bytes is not None and self.memory_budget_bytes < 1:
            raise ValueError(
                f"`memory_budget_bytes` must be positive, got {self.memory_budget_bytes}."
            )
        if self.seed < 0:
            raise ValueError(f"`seed` must not be negative, got {self.seed}.")

    def memory_plan(self, samples: int) -> list[int]:
        """Return the number of samples of each round of a memory case."""
        later = min(samples, self.memory_round_samples)
        return [samples] + [later] * (self.memory_rounds - 1)
