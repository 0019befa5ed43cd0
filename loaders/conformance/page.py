"""The page of a matrix, as Markdown: first what is wrong, by cause, then every cell."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from keras_loader_bench.loaders.conformance import causes
from keras_loader_bench.loaders.conformance.causes import Cause, cause_of
from keras_loader_bench.loaders.conformance.expected import PASSES
from keras_loader_bench.loaders.conformance.programs import program, wanted_output
from keras_loader_bench.loaders.conformance.stored import (
    Mark,
    Matrix,
    Part,
    ProblemRecord,
    Row,
    changes,
    version_key,
)
from keras_loader_bench.loaders.conformance.trials import HANG_S, RACES, UNDECIDED_RACES

COMMAND = "keras-loader-bench audit --matrix"

_MOST_CHANGES = 20
"""Lines of what changed from one version to the next."""

_SHORT = ("fit 1", "fit 2", "val. 1", "val. 2", "evaluate", "predict", "after exc.", "resumed")
"""Headings of `PASSES`."""


def page(matrix: Matrix) -> str:
    """Return the page as Markdown."""
    return "\n".join([*_head(matrix), *_wrong(matrix), *_versions(matrix), *_whole(matrix)]) + "\n"


def _head(matrix: Matrix) -> Iterator[str]:
    yield "# What Keras feeds a model"
    yield ""
    yield (
        "A cell is one pass over one input under one set of conditions: a compiled model keeps "
        "which samples each of its steps was given, by fingerprints of all arrays, and these are "
        "compared with what the input holds. Inputs have 10 batches of 4 samples. What depends on "
        f"threads or processes was tried {RACES} times, or {UNDECIDED_RACES} times where some "
        f"of these were right and others not; {RACES} times too what hung "
        f"or died. A pass of more than {HANG_S:g} s counts as a hang."
    )
    yield ""
    yield from _table(
        ["Keras", "backend", "tried on", "with", "cells", "identical", "not"],
        [
            [
                part.keras,
                f"{part.backend} {part.version}",
                part.date,
                ", ".join(f"{name} {version}" for name, version in part.packages.items()),
                *map(str, _count(part)),
            ]
            for part in matrix.parts
        ],
    )
    yield ""
    if matrix.quick:
        yield "This is a quick matrix of a few conditions only."
        yield ""


def _count(part: Part) -> tuple[int, int, int]:
    """Return how many cells there are, are identical and are not."""
    marks = [mark for row in part.rows.values() for mark in row.values()]
    wrong = sum(mark is not None for mark in marks)
    return len(marks), len(marks) - wrong, wrong


Found = Sequence[tuple[Part, ProblemRecord]]
"""Where a cause shows: parts of a matrix, and the problems."""


def causes_of(matrix: Matrix) -> list[tuple[Cause | None, Found]]:
    """Return all problems by their cause, new ones first; each new problem stands for itself."""
    found: dict[str, tuple[Cause | None, list[tuple[Part, ProblemRecord]]]] = {}
    for part in matrix.parts:
        for problem in part.problems:
            cause = cause_of(problem)
            key = cause.key if cause else f"{problem.setup}, {problem.sort}"
            found.setdefault(key, (cause, []))[1].append((part, problem))
    order = [cause.key for cause in causes.KNOWN]
    return sorted(found.values(), key=lambda each: order.index(each[0].key) if each[0] else -1)


def _wrong(matrix: Matrix) -> Iterator[str]:
    groups = causes_of(matrix)
    yield "## What is wrong"
    yield ""
    if not groups:
        yield "Nothing: every pass was given what it should have been."
        yield ""
    for cause, found in groups:
        yield f"### {cause.title if cause else 'New: ' + what(found[0][1])}"
        yield ""
        if cause:
            yield f"{cause.why} [More]({cause.link})"
            yield ""
            yield f"**Remedy**: {cause.remedy}"
            yield ""
        if len(versions := versions_of(matrix)) > 1:
            yield f"**Versions**: {_since(found, versions)}"
            yield ""
        headings = ["input", "smallest conditions", "passes", "example", "where", "cells"]
        yield from _table(headings, _problem_rows(matrix, found))
        yield ""
        yield from _program(found)


def _since(found: Found, versions: Sequence[str]) -> str:
    """Say in which of the versions tried it shows."""
    having = {part.keras for part, _ in found}
    shown = [version for version in versions if version in having]
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


def _problem_rows(matrix: Matrix, found: Found) -> list[list[str]]:
    """Return the rows of a cause: what differs by input, backend or version alone is one row."""
    where: dict[tuple[str, ...], tuple[list[Part], int]] = {}
    for part, problem in found:
        passes = "; ".join(name for name in PASSES if name in problem.passes)
        conditions = str(problem.setup).removeprefix(problem.setup.kind).removeprefix(", ")
        key = (problem.setup.kind, conditions, passes, mark_text(problem.example))
        parts, cells = where.get(key, ([], 0))
        where[key] = ([*parts, part], cells + problem.cells)
    kinds: dict[tuple[str, ...], tuple[list[str], int]] = {}
    for (kind, *rest), (parts, cells) in where.items():
        row = (*rest, _where(matrix, parts))
        names, sum_ = kinds.get(row, ([], 0))
        kinds[row] = ([*names, kind], sum_ + cells)
    return [
        [", ".join(names), conditions or "none", *rest, str(cells)]
        for (conditions, *rest), (names, cells) in kinds.items()
    ]


def _where(matrix: Matrix, parts: Sequence[Part]) -> str:
    """Name backends, with the versions of Keras where these are not all that were tried on it."""
    said = []
    for backend in dict.fromkeys(part.backend for part in matrix.parts):
        tried = [part.keras for part in matrix.parts if part.backend == backend]
        mine = [part.keras for part in parts if part.backend == backend]
        some = [version for version in tried if version in mine]
        if some:
            said.append(backend if some == tried else f"{backend} ({', '.join(some)})")
    return ", ".join(said)


def what(problem: ProblemRecord) -> str:
    """Return what is wrong, of a problem without a known cause."""
    sort = "other samples than the input has" if problem.sort == "data" else problem.sort
    return f"{problem.setup}: {sort}"


def _program(found: Found) -> Iterator[str]:
    for part, problem in sorted(found, key=lambda each: len(each[1].setup.conditions)):
        name = problem.passes[0]
        if text := program(problem.setup, name):
            wanted = wanted_output(problem.setup, name)
            if problem.sort == "data" and not problem.example.got:
                wanted = "two different losses: the second epoch trains on nothing"
            yield (
                f"With Keras {part.keras} and `KERAS_BACKEND={part.backend}`, this shows it in "
                f"`{name}`. It should print {wanted}."
            )
            yield ""
            yield f"```python\n{text.rstrip()}\n```"
            yield ""
            return


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


def _versions(matrix: Matrix) -> Iterator[str]:
    versions = versions_of(matrix)
    if len(versions) < 2:
        return
    yield "## By version"
    yield ""
    lines = []
    for cause, found in causes_of(matrix):
        title = cause.title if cause else what(found[0][1])
        having = [[p.backend for p, _ in found if p.keras == version] for version in versions]
        lines.append([title, *(", ".join(dict.fromkeys(each)) or "-" for each in having)])
    yield from _table(["what is wrong", *versions], lines)
    yield ""
    for older, newer in pairwise(versions):
        lines_ = changes(_only(matrix, older), _only(matrix, newer))
        count = {0: "no cell", 1: "1 cell"}.get(len(lines_), f"{len(lines_)} cells")
        yield f"From {older} to {newer}, {count} changed; races do not count."
        yield ""
        yield from (f"- {line}" for line in lines_[:_MOST_CHANGES])
        if len(lines_) > _MOST_CHANGES:
            yield f"- and {len(lines_) - _MOST_CHANGES} more, which `--diff` prints"
        yield ""


def _only(matrix: Matrix, version: str) -> Matrix:
    return replace(matrix, parts=tuple(p for p in matrix.parts if p.keras == version))


def _whole(matrix: Matrix) -> Iterator[str]:
    newest = newest_of(matrix)
    yield "## Every cell"
    yield ""
    yield (
        f"Of Keras {newest}. `=` identical, `-` does not apply; anything else is below the table. "
        f"`{COMMAND} --keras-backends BACKEND --only 'CONDITIONS'` tries a row again."
    )
    yield ""
    for part in matrix.parts:
        if part.keras != newest:
            continue
        yield f"### {part.backend}"
        yield ""
        for kind, why in part.left_out.items():
            yield f"`{kind}` was left out: {why}"
            yield ""
        notes: dict[str, int] = {}
        lines = [[text, *_cells(row, notes)] for text, row in part.rows.items()]
        yield from _table(["conditions", *_SHORT], lines)
        yield ""
        for note, number in notes.items():
            yield f"{number}. {note}"
        yield ""


def versions_of(matrix: Matrix) -> list[str]:
    """Return the versions of Keras in a matrix, the oldest first."""
    return sorted({part.keras for part in matrix.parts}, key=version_key)


def newest_of(matrix: Matrix) -> str:
    """Return the newest Keras of a matrix; an empty text if it has none."""
    return next(reversed(versions_of(matrix)), "")


def _cells(row: Row, notes: dict[str, int]) -> Iterator[str]:
    for name in PASSES:
        if name not in row:
            yield "-"
        elif (mark := row[name]) is None:
            yield "="
        else:
            number = notes.setdefault(mark_text(mark), len(notes) + 1)
            yield f"**{number}**"


def _table(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(headings)} |"
    yield f"|{':--|' * len(headings)}"
    for line in lines:
        yield "| " + " | ".join(each.replace("|", "\\|") for each in line) + " |"
