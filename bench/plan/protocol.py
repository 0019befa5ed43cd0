"""The protocol of a run: number and length of rounds, and limits."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from keras_loader_bench.loaders.launchers import LauncherName

METHOD = 4
"""Raised whenever ceiling, models, protocol or audit change so that figures before and after must
not be compared. Runs that do not record it have 0."""


STEADY = ("train", "emulated")
"""Benchmarks whose rounds are timed from their second step on, unless they are whole epochs."""


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """How every case of a run is measured."""

    processes: int = 5
    """Processes in which each timed case is measured, one after another over the whole run."""

    new_interpreters: bool = False
    """Whether a process of a timed case is a new Python, even where it could be forked from one
    that has imported the framework."""

    launcher: LauncherName = "local"
    """How the processes of several ranks are started; see `loaders.launchers`."""

    rounds: int = 2
    """Timed rounds per process, each paired with a ceiling round."""

    most_rounds: int = 8
    """Where an epoch is shorter than a round should be, there are more, up to so many."""

    round_seconds: float = 2.0
    """Approximate length of a feed round, at most a whole epoch.

    The start of `fit` counts in it, and takes some loaders 0.2 s: in a short round it would weigh
    many times what it does in an epoch."""

    steady_round_seconds: float = 0.8
    """Approximate length of a round whose start does not count: of training on a CPU, and of
    emulated steps."""

    training_steps: int = 6
    """Executions of a training round on a CPU, at least: the first is not timed, and fewer tell
    little."""

    accelerator_round_seconds: float = 2.0
    """Shortest length of a round on an accelerator, in whole epochs of one `fit`.

    NVML updates its energy counter every 100 ms, which is 5% of a round of 2 s."""

    seed: int = 0
    """Seed of the sample order and of synthetic images."""

    memory_processes: int = 3
    """Processes in which each memory case is measured."""

    memory_rounds: int = 6
    """Calls of `fit` in a memory case: a warm-up epoch, and five rounds that show whether memory
    grows. The number is the same at every size, as allocators keep more the more they handled."""

    memory_round_samples: int = 50_000
    """Most samples of a memory round after the first epoch, as many as CIFAR-10 has. A smaller
    source is read in whole epochs."""

    case_timeout_s: float = 600.0
    """Seconds after which a case is ended and reported as a timeout."""

    silence_timeout_s: float = 60.0
    """Seconds without an answer, or a batch that a model takes, after which a case is ended; from
    the making of its loader on."""

    memory_budget_bytes: int | None = None
    """Memory that a memory case may use over its baseline; `None` for no limit."""

    quick: bool = False
    """Whether this is a smoke run, with too few rounds for conclusions."""

    def __post_init__(self) -> None:
        counts = (
            "processes",
            "rounds",
            "most_rounds",
            "training_steps",
            "memory_processes",
            "memory_rounds",
            "memory_round_samples",
        )
        seconds = [each.name for each in fields(self) if each.name.endswith(("_s", "_seconds"))]
        for name in (*counts, *seconds):
            if not 0 < getattr(self, name) < math.inf:  # false for NaN too
                raise ValueError(f"`{name}` must be positive, got {getattr(self, name)}.")
        if self.memory_budget_bytes is not None and self.memory_budget_bytes < 1:
            raise ValueError(
                f"`memory_budget_bytes` must be positive, got {self.memory_budget_bytes}."
            )
        if self.seed < 0:
            raise ValueError(f"`seed` must not be negative, got {self.seed}.")

    def processes_of(self, bench: str) -> int:
        """Return in how many processes each case of a benchmark is measured."""
        return self.memory_processes if bench == "memory" else self.processes

    def round_seconds_of(self, bench: str) -> float:
        """Return about how long a round of a benchmark takes, at most a whole epoch."""
        return self.steady_round_seconds if bench in STEADY else self.round_seconds

    @property
    def rounds_at_most(self) -> int:
        """How many rounds a process of a timed case may have."""
        return max(self.rounds, self.most_rounds)

    @property
    def rounds_text(self) -> str:
        """How many rounds a process of a timed case has: `4`, or `2 to 8`."""
        most = self.rounds_at_most
        return f"{self.rounds} to {most}" if most > self.rounds else str(self.rounds)

    def rounds_of_epochs(self, bench: str, seconds: float) -> int:
        """Return how many rounds a process has, each an epoch that takes so long.

        Together they take about as long as rounds of the wanted length.
        """
        wanted = round(self.rounds * self.round_seconds_of(bench) / seconds)
        return min(max(self.rounds, wanted), self.rounds_at_most)

    def memory_plan(self, samples: int) -> list[int]:
        """Return the number of samples of each round of a memory case."""
        later = min(samples, self.memory_round_samples)
        return [samples] + [later] * (self.memory_rounds - 1)
