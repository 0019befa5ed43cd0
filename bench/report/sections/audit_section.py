"""The audit section of a report: one line if all batches are identical, else the differences.

Rows that fail in the same way share one block.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from keras_loader_bench.bench.record.audit_record import PassResult
from keras_loader_bench.bench.record.schema import RecordedFailure
from keras_loader_bench.bench.report import cells
from keras_loader_bench.bench.report.cells import Markdown
from keras_loader_bench.bench.report.figures.audit_result import (
    short_verdict,
    verdict_words,
)
from keras_loader_bench.bench.report.figures.row_options import describe, differing
from keras_loader_bench.bench.report.figures.rows import Row


@dataclass(frozen=True, kw_only=True)
class Block:
    """Rows that failed in the same way."""

    heading: Markdown
    """Which rows, and what is wrong with them in a few words."""

    known: RecordedFailure | None
    """Why it was expected; `None` if it was not, or if an earlier block gives the same reason."""

    headings: list[str]
    table: list[list[str]]
    """One line per pass; empty for files of schema 1."""

    difference: str | None
    """The first difference, if no pass has one."""


def audit_verdict(row: Row) -> Markdown:
    """Write the verdict of a row and its digest: `yes`, **11 of 65 missing** (known)."""
    if row.verdict is None:
        return Markdown(cells.NOT_RUN)
    yes = "all but their values" if row.loosely else "yes"
    verdict = yes if row.identical else f"**{failure(row)}**{known_mark(row)}"
    return Markdown(f"{verdict} {cells.code(row.digest[:12])}" if row.digest else verdict)


def failure(row: Row) -> Markdown:
    """Describe in a few words what is wrong with the batches of a row."""
    return cells.prose(short_verdict(row.verdict or "", row.passes))


def known_mark(row: Row) -> str:
    """Return the mark after the verdict of a row that was expected to fail."""
    return " (known)" if row.known_failure else ""


def audit_summary(rows: Sequence[Row]) -> list[Markdown]:
    """Return how many rows are identical, in which passes, and which were expected to fail."""
    audited = [row for row in rows if row.verdict is not None]
    right = [row for row in audited if row.identical]
    if not audited:
        return [Markdown("No row was audited, so none is ranked.")] if rows else []
    names = [tuple(each.name for each in row.passes) for row in right]
    common = [name for name in names[0] if all(name in each for each in names)] if names else []
    passes = f" in every pass: {cells.prose('; '.join(common))}" if common else ""
    count, all_of = len(right), len(audited)
    if count == all_of:
        lead = f"All {all_of} audited rows are" if all_of > 1 else "The one audited row is"
        sentences = [f"{lead} identical to the reference{passes}."]
    else:
        sentences = [
            f"{count} of {all_of} audited rows {'is' if count == 1 else 'are'} identical to the "
            f"reference{passes}. The others are never ranked."
        ]
    sentences += _coverage(right)
    if any(row.loosely for row in right):
        sentences.append(
            "Where an input has other samples each time, their values are none of it: labels, if "
            "they tell samples apart, number and form were compared."
        )
    if surprising := [row for row in right if row.known_failure]:
        sentences.append(f"Expected to fail, but identical: {_named(surprising, differing(rows))}.")
    return [Markdown(sentence) for sentence in sentences]


def what_identical_means(rows: Sequence[Row]) -> Markdown:
    """Return what was compared where a table says that batches are identical; empty if nothing."""
    whole, first = _compared([row for row in rows if row.identical])
    if not whole:
        return Markdown("")
    return Markdown(
        "*Identical* to batches that NumPy computes: every batch of an epoch by fingerprint, the "
        f"first {first} of each other pass byte for byte ([audit](#audit))."
    )


def _coverage(rows: Sequence[Row]) -> list[str]:
    """Return how many batches of these rows were compared, and how."""
    whole, first = _compared(rows)
    if not whole:
        return []
    return [
        f"Every batch of an epoch ({whole}) was compared by a fingerprint that the compiled step "
        f"computes, and the first {first} batches of each other pass byte for byte."
    ]


def _compared(rows: Sequence[Row]) -> tuple[str, str]:
    """Return how many batches were compared by fingerprint, and how many byte for byte.

    The first is empty where no fingerprint was compared, as in older runs.
    """
    found: dict[str, set[int]] = {}
    for row in rows:
        for each in row.passes:
            found.setdefault(each.compared, set()).add(each.expected_batches)
    if "fingerprint" not in found:
        return "", ""
    return _span(found["fingerprint"]), _span(found.get("bytes", {0}))


def _span(counts: Collection[int]) -> str:
    least, most = min(counts), max(counts)
    return f"{least:,} to {most:,}" if least < most else f"{least:,}"


def by_fingerprint(rows: Sequence[Row]) -> bool:
    """Return whether any row has a pass that was compared by fingerprint."""
    return any(each.compared == "fingerprint" for row in rows for each in row.passes)


def audit_blocks(rows: Sequence[Row]) -> list[Block]:
    """Return a block per group of rows that failed in the same way."""
    names = differing(rows)
    alike: dict[object, list[Row]] = {}
    for row in rows:
        if row.identical is False:
            first = None if _told_by_passes(row) else row.difference
            key = failure(row), row.known_failure, str(_table(row.passes)), first
            alike.setdefault(key, []).append(row)
    blocks: list[Block] = []
    for group in alike.values():
        told = [block.known for block in blocks]
        block = _block(group, names)
        blocks.append(replace(block, known=None) if block.known in told else block)
    return blocks


def _block(rows: Sequence[Row], names: Sequence[str]) -> Block:
    row = rows[0]
    table = _table(row.passes)
    return Block(
        heading=Markdown(f"{_named(rows, names)}: {failure(row)}{known_mark(row)}"),
        known=row.known_failure,
        headings=list(table[0]) if table else [],
        table=[list(line.values()) for line in table],
        difference=None if _told_by_passes(row) else row.difference,
    )


def _named(rows: Sequence[Row], names: Sequence[str]) -> Markdown:
    """List rows by label, with the options that differ: `sequence` (jax; torch)."""
    texts = []
    for label, block in groupby(sorted(rows, key=lambda row: row.label), lambda row: row.label):
        places = cells.prose("; ".join(describe(row, names) for row in block))
        texts.append(f"{cells.code(label)} ({places})" if places else str(cells.code(label)))
    return Markdown(cells.enumeration(texts))


def _told_by_passes(row: Row) -> bool:
    return any(each.difference for each in row.passes)


def _table(passes: Sequence[PassResult]) -> list[dict[str, str]]:
    """Return a line per pass, as cells by heading, without empty columns."""
    columns: Mapping[str, Callable[[PassResult], str]] = {
        "pass": lambda each: each.name,
        "verdict": lambda each: verdict_words(each.verdict),
        "batches": _given,
        "missing": lambda each: _counted(each.missing_batches, each.missing_samples),
        "repeated": lambda each: _counted(each.repeated_batches, each.repeated_samples),
        "largest difference (ULP)": _largest,
        "first difference": lambda each: cells.code(each.difference) if each.difference else "",
    }
    lines = [{name: write(each) for name, write in columns.items()} for each in passes]
    used = [name for name in columns if any(line[name] for line in lines)]
    return [{name: line[name] or cells.NOT_RUN for name in used} for line in lines]


def _given(each: PassResult) -> str:
    batches = f"{each.batches:,} of {each.expected_batches:,}"
    if each.batches != each.expected_batches or each.samples == each.expected_samples:
        return batches
    return f"{batches} ({each.samples:,} of {each.expected_samples:,} samples)"


def _largest(each: PassResult) -> str:
    return "" if each.max_ulps is None else f"{each.max_ulps:,}"


def _counted(batches: Sequence[int], samples: int) -> str:
    """List the batches, or count samples if no whole batch is missing or repeated."""
    if batches:
        return f"{len(batches)}: {cells.ranges(batches)}"
    return f"{samples:,} samples" if samples else ""
