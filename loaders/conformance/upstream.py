"""Reports for Keras' tracker: one file for each cause of which a change of Keras was tried."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from keras_loader_bench.loaders.conformance.causes import Cause
from keras_loader_bench.loaders.conformance.cells import Cell
from keras_loader_bench.loaders.conformance.grouped import Occurrences, mark_text
from keras_loader_bench.loaders.conformance.programs import program
from keras_loader_bench.loaders.conformance.setups import Setup, every_setup
from keras_loader_bench.loaders.conformance.stored import Part, Row, rows_of
from keras_loader_bench.loaders.registry import BACKENDS

MOST_ROWS = 8
"""Of a backend, tried again with the change."""

Retry = Callable[[Part, Sequence[Setup]], Sequence[Cell]]
"""Tries setups again on the Keras and backend of a part, with the change."""


def upstream_report(cause: Cause, found: Occurrences, retry: Retry) -> str:
    """Return a report to paste into a tracker, as Markdown.

    Args:
        cause: with mends.
        found: where it shows, of one version of Keras.
        retry: tries setups with the mends.
    """
    part, problem = found[0]
    backends = ", ".join(dict.fromkeys(f"{p.backend} {p.version}" for p, _ in found))
    lines = [f"# {cause.title}", "", f"Keras {part.keras}; {backends}.", "", cause.why, ""]
    name = problem.passes[0]
    if text := program(problem.setup, name):
        lines += [
            f"With `KERAS_BACKEND={part.backend}`:",
            "",
            f"```python\n{text.rstrip()}\n```",
            "",
        ]
    said = mark_text(problem.example)
    lines += [
        f"**Seen** in `{name}` ({problem.setup}, {part.backend}): {said}.",
        f"**Expected**: {problem.example.batches} batches, each of their samples once, in order.",
        "",
        f"**Where**: {cause.where}.",
        "",
        *_changes(cause),
        "Passes that went wrong for this reason, and others that it changes, before and after it:",
        "",
        *_table(cause, found, retry),
    ]
    return "\n".join(lines) + "\n"


def _changes(cause: Cause) -> Iterator[str]:
    for number, mend in enumerate(cause.mends):
        start = "And" if number else "**A change that was tried**,"
        only = "" if mend.backends == BACKENDS else f", on {' and '.join(mend.backends)} only"
        yield f"{start} in `{mend.function}` of `{mend.module}`{only}:"
        yield ""
        yield f"```diff\n{mend.diff}\n```"
        yield ""


def _table(cause: Cause, found: Occurrences, retry: Retry) -> Iterator[str]:
    yield "| backend | conditions | pass | before | after |"
    yield "|:--|:--|:--|:--|:--|"
    changed_on = {backend for mend in cause.mends for backend in mend.backends}
    for of in {part.backend: part for part, _ in found if part.backend in changed_on}.values():
        mine = [problem for part, problem in found if part is of]
        rows = _rows(of, [problem.setup for problem in mine])
        after = rows_of(retry(of, [setup for setup, _ in rows]))
        for setup, row in rows:
            changed = after.get(str(setup), {})
            caused = {n for each in mine if setup.includes(each.setup) for n in each.passes}
            for name, mark in row.items():
                said = (mark_text(mark), mark_text(changed.get(name)))
                if name in changed and (said[0] != said[1] or (mark and name in caused)):
                    yield f"| {of.backend} | {setup} | {name} | {said[0]} | {said[1]} |"


def _rows(part: Part, smallest: Sequence[Setup]) -> list[tuple[Setup, Row]]:
    """Return the plainest rows that show any of the problems with these smallest setups."""
    known = {str(setup): setup for small in smallest for setup in every_setup(small.kind)}
    rows = [
        (known[text], row)
        for text, row in part.rows.items()
        if text in known
        and any(known[text].includes(small) for small in smallest)
        and any(row.values())
    ]
    return sorted(rows, key=lambda each: len(each[0].conditions))[:MOST_ROWS]
