"""How every case of a run is measured: rounds, their length, limits.

Must not know: which cases there are, how one is run.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How every case of a run is measured."""

    rounds: int = 15
    """Timed rounds of a case, each paired with one of the ceiling. Many short ones tell more than
    few long ones in the same time: one of 0.6 s is hardly noisier than one of 1 s."""

    round_seconds: float = 0.6
    """About how long a round lasts; a whole epoch at most."""

    accelerator_round_seconds: float = 2.0
    """At least how long a round lasts on an accelerator, in whole epochs of one `fit`.

    NVML's energy counter moves every 100 ms: in a round of 2 s its figure is good to 5%."""

    seed: int = 0
    """Of the order of the samples and of the synthetic edition."""

    memory_rounds: int = 6
    """Calls of `fit` in a memory case: an epoch that warms up, and five rounds that show whether
    memory grows. The same number for every size: an allocator keeps more the more it has seen."""

    memory_round_samples: int = 50_000
    """A round after the first epoch has so many samples at most: one CIFAR-10. A smaller source is
    delivered in whole epochs."""

    case_timeout_s: float = 600.0
    """Seconds after which a case is ended and counted as hung."""

    memory_budget_bytes: int | None = None
    """What a memory case may hold over its baseline; `None`: whatever it takes."""

    quick: bool = False
    """A smoke run: too few rounds for any conclusion."""

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
        """Return the samples of each round of a memory case, for a source of so many."""
        later = min(samples, self.memory_round_samples)
        return [samples] + [later] * (self.memory_rounds - 1)
