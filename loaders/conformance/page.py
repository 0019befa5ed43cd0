"""The page of a matrix, as Markdown: first what is wrong, by cause, then every cell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise

from keras_loader_bench.loaders.conformance.changed import Change, changes
from keras_loader_bench.loaders.conformance.expected import PASSES
from keras_loader_bench.loaders.conformance.grouped import (
    Occurrences,
    causes_of,
    mark_text,
    newest_of,
    problem_rows,
    since,
    versions_of,
    what,
)
from keras_loader_bench.loaders.conformance.programs import program, wanted_output
from keras_loader_bench.loaders.conformance.stored import Matrix, Part, Row
from keras_loader_bench.loaders.conformance.trials import HANG_S, RACES, UNDECIDED_RACES
from keras_loader_bench.loaders.registry import BACKENDS, LOADERS

COMMAND = "keras-loader-bench audit --matrix"

_MOST_CHANGES = 20
"""From one version to the next, that are listed; more are counted by kind of input."""

_LOADERS_LINK = "../README.md#the-loaders"

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
        "which samples each of its steps was given, by checksums of all arrays, and these are "
        "compared with what the input holds. Inputs have 10 batches of 4 samples. What depends on "
        f"threads or processes was tried {RACES} times, or {UNDECIDED_RACES} times where some "
        f"of these were right and others not; {RACES} times too what hung "
        "or died; at least once where each pass starts processes that import a framework. "
        f"A pass of more than {HANG_S:g} s counts as a hang."
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


def _wrong(matrix: Matrix) -> Iterator[str]:
    groups = causes_of(matrix)
    yield "## What is wrong"
    yield ""
    if not groups:
        yield "Nothing: every pass was given what it should have been."
        yield ""
        return
    yield from _how_to_read(matrix)
    for cause, found in groups:
        yield f"### {cause.title if cause else 'New: ' + what(found[0][1])}"
        yield ""
        if cause:
            yield f"{cause.why} [More]({cause.link})"
            yield ""
            yield f"**Remedy**: {cause.remedy}"
            yield ""
        if len(versions := versions_of(matrix)) > 1:
            yield f"**Versions**: {since(found, versions)}"
            yield ""
        headings = ["input", "smallest conditions", "passes", "example", "where", "cells"]
        yield from _table(headings, problem_rows(matrix, found))
        yield ""
        yield from _program(found)


def _how_to_read(matrix: Matrix) -> Iterator[str]:
    text = "An example is of the first pass in its row; in the others the numbers may differ."
    kinds = {problem.setup.kind for part in matrix.parts for problem in part.problems}
    if loaders := [f"`{name}`" for name in LOADERS if name in kinds]:
        text += f" [Loaders of this suite]({_LOADERS_LINK}) among the inputs: {', '.join(loaders)}."
    yield text
    yield ""


def _program(found: Occurrences) -> Iterator[str]:
    for part, problem in sorted(found, key=lambda each: len(each[1].setup.conditions)):
        name = problem.passes[0]
        if text := program(problem.setup, name):
            wanted = wanted_output(problem.setup, name)
            if problem.sort == "data" and not problem.example.got:
                wanted = "two different losses: the second epoch trains on nothing"
            often = " now and then: run it several times" if problem.example.is_race else ""
            yield (
                f"With Keras {part.keras} and `KERAS_BACKEND={part.backend}`, this shows it in "
                f"`{name}`{often}. It should print {wanted}."
            )
            yield ""
            yield f"```python\n{text.rstrip()}\n```"
            yield ""
            return


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
    tried = [", ".join(part.backend for part in _only(matrix, v).parts) for v in versions]
    headings = [f"{v} (tried on {names})" for v, names in zip(versions, tried, strict=True)]
    yield from _table(["what is wrong", *headings], lines)
    yield ""
    for (older, newer), backends in _following(matrix).items():
        changed = changes(*(_only(matrix, version, backends) for version in (older, newer)))
        on = ", ".join(backends)
        count = _cell_count(len(changed))
        yield (
            f"From {older} to {newer} on {on}, {count} changed; those that went wrong in some "
            "tries and not in others do not count."
        )
        yield ""
        if changed:
            yield from _changes(changed)
            yield ""


def _changes(changed: Sequence[Change]) -> Iterator[str]:
    if len(changed) <= _MOST_CHANGES:
        yield from (f"- {change}" for change in changed)
        return
    groups = Counter((change.setup.partition(", ")[0], change.was) for change in changed)
    for (kind, was), count in groups.items():
        yield f"- {kind}, {_cell_count(count)}: {was}"


def _cell_count(count: int) -> str:
    return {0: "no cell", 1: "1 cell"}.get(count, f"{count} cells")


def _following(matrix: Matrix) -> dict[tuple[str, str], list[str]]:
    """Return versions that follow each other on a backend, with all backends where they do."""
    versions = versions_of(matrix)
    found: dict[tuple[str, str], list[str]] = {}
    for backend in BACKENDS:
        tried = {part.keras for part in matrix.parts if part.backend == backend}
        for pair in pairwise(version for version in versions if version in tried):
            found.setdefault(pair, []).append(backend)
    order = sorted(found, key=lambda pair: [versions.index(version) for version in pair[::-1]])
    return {pair: found[pair] for pair in order}


def _only(matrix: Matrix, version: str, backends: Collection[str] = BACKENDS) -> Matrix:
    chosen = (p for p in matrix.parts if p.keras == version and p.backend in backends)
    return replace(matrix, parts=tuple(chosen))


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
