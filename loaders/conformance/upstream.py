"""Reports for Keras' tracker: one file for each cause of which a change of Keras was tried."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from keras_loader_bench.loaders.conformance.causes import Cause
from keras_loader_bench.loaders.conformance.page import Found, mark_text
from keras_loader_bench.loaders.conformance.programs import program
from keras_loader_bench.loaders.conformance.setups import Setup, every_setup
from keras_loader_bench.loaders.conformance.stored import Part, Row, rows_of
from keras_loader_bench.loaders.conformance.trials import Cell

MOST_ROWS = 8
"""Of a backend, tried again with the change."""

Retry = Callable[[Part, Sequence[Setup]], Sequence[Cell]]
"""Tries setups again on the Keras and backend of a part, with the change."""


def upstream_report(cause: Cause, found: Found, retry: Retry) -> str:
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
        "**Expected**: every sample once, in order.",
        "",
        f"**Where**: {cause.where}.",
        "",
        *_changes(cause),
        "Passes over the inputs that went wrong, before and after it; those that are the same, for "
        "other reasons, are left out:",
        "",
        *_table(cause, found, retry),
    ]
    return "\n".join(lines) + "\n"


def _changes(cause: Cause) -> Iterator[str]:
    for number, mend in enumerate(cause.mends):
        start = "And" if number else "**A change that was tried**,"
        yield f"{start} in `{mend.function}` of `{mend.module}`:"
        yield ""
        yield f"```diff\n{mend.diff}\n```"
        yield ""


def _table(cause: Cause, found: Found, retry: Retry) -> Iterator[str]:
    yield "| backend | conditions | pass | before | after |"
    yield "|:--|:--|:--|:--|:--|"
    for of in {part.backend: part for part, _ in found}.values():
        rows = _rows(of, [problem.setup for part, problem in found if part is of])
        after = rows_of(retry(of, [setup for setup, _ in rows]))
        for setup, row in rows:
            changed = after.get(str(setup), {})
            for name, mark in row.items():
                said = (mark_text(mark), mark_text(changed.get(name)))
                if name in changed and said[0] != said[1]:
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
