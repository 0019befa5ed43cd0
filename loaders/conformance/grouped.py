"""What is wrong in a matrix by its cause, and in which inputs, versions and backends it shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from keras_loader_bench.loaders.conformance import causes
from keras_loader_bench.loaders.conformance.causes import Cause, cause_of
from keras_loader_bench.loaders.conformance.expected import PASSES
from keras_loader_bench.loaders.conformance.stored import (
    Mark,
    Matrix,
    Part,
    ProblemRecord,
    version_key,
)

Occurrences = Sequence[tuple[Part, ProblemRecord]]
"""Where a cause shows: parts of a matrix, and the problems."""


def causes_of(matrix: Matrix) -> list[tuple[Cause | None, Occurrences]]:
    """Return all problems by their cause, new ones first; each new problem stands for itself."""
    found: dict[str, tuple[Cause | None, list[tuple[Part, ProblemRecord]]]] = {}
    for part in matrix.parts:
        for problem in part.problems:
            cause = cause_of(problem)
            key = cause.key if cause else f"{problem.setup}, {problem.sort}"
            found.setdefault(key, (cause, []))[1].append((part, problem))
    order = [cause.key for cause in causes.KNOWN]
    return sorted(found.values(), key=lambda each: order.index(each[0].key) if each[0] else -1)


def what(problem: ProblemRecord) -> str:
    """Return what is wrong, of a problem without a known cause."""
    sort = "other samples than the input has" if problem.sort == "data" else problem.sort
    return f"{problem.setup}: {sort}"


def since(found: Occurrences, versions: Sequence[str]) -> str:
    """Say in which of the versions tried it shows."""
    having = {part.keras for part, _ in found}
    shown = [version for version in versions if version in having]
    if len(shown) < len(versions) and all(problem.example.is_race for _, problem in found):
        return f"seen in {', '.join(shown)}; a race, which others may have too."
    first = versions.index(shown[0])
    if shown != list(versions[first : first + len(shown)]):
        return f"shows in {', '.join(shown)}."
    text = "shows in all that were tried"
    if first:
        text = f"since {shown[0]}; not in {versions[first - 1]}"
    if shown[-1] != versions[-1]:
        gone = f"gone in {versions[first + len(shown)]}"
        return f"{text}; {gone}." if first else f"shows up to {shown[-1]}; {gone}."
    return f"{text}."


@dataclass
class _Row:
    """Problems that differ by input, backend or version alone."""

    kinds: list[str]
    parts: list[Part]
    example: str
    cells: int


def problem_rows(matrix: Matrix, found: Occurrences) -> list[list[str]]:
    """Return the rows of a cause: what differs by input, backend or version alone is one row.

    The example is of the first of them: how many samples are missing may differ.
    """
    by_kind: dict[tuple[str, ...], _Row] = {}
    for part, problem in found:
        passes = "; ".join(name for name in PASSES if name in problem.passes)
        kind = problem.setup.kind
        conditions = str(problem.setup).removeprefix(kind).removeprefix(", ")
        key = (kind, conditions or "none", passes, problem.sort, problem.example.verdict)
        row = by_kind.setdefault(key, _Row([kind], [], mark_text(problem.example), 0))
        row.parts.append(part)
        row.cells += problem.cells
    rows: dict[tuple[str, ...], _Row] = {}
    for (kind, *rest), row in by_kind.items():
        where = _where([p for p in matrix.parts if kind not in p.left_out], row.parts)
        same = rows.setdefault((*rest, where), row)
        if same is not row:
            same.kinds += row.kinds
            same.cells += row.cells
    return [
        [", ".join(row.kinds), conditions, passes, row.example, where, str(row.cells)]
        for (conditions, passes, *_, where), row in rows.items()
    ]


def _where(every: Sequence[Part], parts: Sequence[Part]) -> str:
    """Name backends, with the versions of Keras where these are not all that were tried on it."""
    said = []
    for backend in dict.fromkeys(part.backend for part in every):
        tried = [part.keras for part in every if part.backend == backend]
        mine = [part.keras for part in parts if part.backend == backend]
        some = [version for version in tried if version in mine]
        if some:
            said.append(backend if some == tried else f"{backend} ({', '.join(some)})")
    return ", ".join(said)


def mark_text(mark: Mark | None) -> str:
    """Return what a cell says."""
    if mark is None:
        return "identical"
    often = f" ({mark.how_often})" if mark.how_often else ""
    if mark.verdict in ("missing", "repeated"):
        said = [f"{mark.missing} samples missing"] * bool(mark.missing)
        said += [f"{mark.repeated} repeated"] * bool(mark.repeated)
        if mark.got != mark.batches:
            said.append(f"{mark.got} batches instead of {mark.batches}")
        return ", ".join(said) + often
    return mark.verdict + (f": {mark.text}" if mark.text else "") + often


def versions_of(matrix: Matrix) -> list[str]:
    """Return the versions of Keras in a matrix, the oldest first."""
    return sorted({part.keras for part in matrix.parts}, key=version_key)


def newest_of(matrix: Matrix) -> str:
    """Return the newest Keras of a matrix; an empty text if it has none."""
    return next(reversed(versions_of(matrix)), "")
