"""What was found: a cell of the matrix for each pass over the input of a setup."""

from __future__ import annotations

from dataclasses import dataclass, field

from keras_loader_bench.loaders.conformance.expected import Found
from keras_loader_bench.loaders.conformance.setups import Setup


def how_often(wrong: int, runs: int) -> str:
    """Say in how many runs a cell was wrong: nothing for one run, and where it never was."""
    return f"{wrong} of {runs} runs" if wrong and runs > 1 else ""


@dataclass
class Cell:
    """What was found of one pass over the input of one setup."""

    setup: Setup
    name: str
    """Of the pass."""

    found: list[Found] = field(default_factory=list)
    """A verdict of each run."""

    @property
    def verdict(self) -> str:
        """That of the worst run."""
        return self.worst.verdict

    @property
    def worst(self) -> Found:
        """The run in which most samples were given wrongly, or else any that went wrong."""
        wrong = [each for each in self.found if each.verdict != "identical"]
        return max(wrong or self.found, key=lambda each: each.missing + each.repeated)

    @property
    def wrong_runs(self) -> int:
        """In how many runs it was wrong."""
        return sum(each.verdict != "identical" for each in self.found)

    @property
    def is_race(self) -> bool:
        """Whether some runs were right and others not."""
        return 0 < self.wrong_runs < len(self.found)

    @property
    def how_often(self) -> str:
        """See the function."""
        return how_often(self.wrong_runs, len(self.found))


@dataclass(frozen=True, kw_only=True)
class Tried:
    """What came out for one Keras on one backend."""

    keras: str
    backend: str
    version: str
    """Of the backend's package."""

    cells: tuple[Cell, ...]
