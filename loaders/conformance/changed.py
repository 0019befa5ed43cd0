"""What changed between two matrices."""

from __future__ import annotations

from dataclasses import dataclass

from keras_loader_bench.loaders.conformance.stored import Mark, Matrix


@dataclass(frozen=True)
class Change:
    """A cell that another Keras has changed."""

    backend: str
    setup: str
    name: str
    """Of the pass."""

    was: str
    """Its verdict, and on which Keras."""

    now: str

    def __str__(self) -> str:
        return f"{self.backend}, {self.setup}, {self.name}: {self.was}, {self.now}"


def changes(old: Matrix, new: Matrix) -> list[Change]:
    """Return every cell that was right and is not, or the other way round.

    Or that is an error or a hang on one of them. What is a race on either is left out.

    Args:
        old: each Keras is compared with the same one of this matrix if that is in it, or else with
            the newest one on the same backend.
        new: the other matrix.
    """
    newest = {part.backend: part for part in reversed(old.parts)}
    same = {(part.backend, part.keras): part for part in old.parts}
    found = []
    for part in new.parts:
        other = same.get((part.backend, part.keras)) or newest.get(part.backend)
        if other is None:
            continue
        for text, row in part.rows.items():
            for name, mark in row.items():
                was = other.rows.get(text, {})
                if name not in was:
                    continue
                marks = (was[name], mark)
                if any(each and each.is_race for each in marks):
                    continue
                if len(set(map(_outcome, marks))) == 2:
                    verdicts = [each.verdict if each else "identical" for each in marks]
                    versions = (
                        f"{verdicts[0]} on Keras {other.keras}",
                        f"{verdicts[1]} on {part.keras}",
                    )
                    found.append(Change(part.backend, text, name, *versions))
    return found


def _outcome(mark: Mark | None) -> str:
    if mark is None:
        return "identical"
    return mark.verdict if mark.verdict in ("error", "hang") else "other data"
