"""Formats single values: numbers with units, outcomes and untrusted text.

All untrusted text (names, messages, logs) passes `plain`, `code`, `prose` or `fence`, so that it
cannot change the structure of a report.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Sequence
from typing import TypeVar

from keras_loader_bench.bench.report.figures.memory_figures import Memory
from keras_loader_bench.bench.report.figures.throughput import Throughput
from keras_loader_bench.bench.statistics import Estimate

NOT_RUN = "-"

_MAX_RANGES = 8

Case = TypeVar("Case", Throughput, Memory)

_ANSI = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?")
_ADDRESS = re.compile(r"https?://[A-Za-z0-9.-]+(?:[/?#][A-Za-z0-9._~/?#=&%+,:@!-]*)?")
_MARKUP = re.compile(r"([\\`*_\[\]~#])")


class Markdown(str):
    """Text that is Markdown already; all other text is escaped where it is put into a report."""

    __slots__ = ()


def significant(value: float) -> str:
    """Write a number with three significant digits and no exponent."""
    if value == 0 or not math.isfinite(value):
        return f"{value:.0f}"
    decimals = max(0, 2 - math.floor(math.log10(abs(float(f"{value:.2e}")))))
    return f"{value:,.{decimals}f}"


def rate(samples_per_s: float) -> str:
    """Write samples per second: `38.1k`, `126k`, `950`."""
    if samples_per_s < 999.5:
        return significant(samples_per_s)
    return f"{significant(samples_per_s / 1000)}k"


def fraction(value: float) -> str:
    """Write a fraction with two decimals; what rounds to zero has no sign."""
    return f"{round(value, 2) + 0.0:.2f}"


def milliseconds(seconds: float) -> str:
    """Write seconds as milliseconds, without the unit."""
    return significant(seconds * 1000)


def mebibytes(count: int | None) -> str:
    """Write bytes as MiB, without the unit."""
    return NOT_RUN if count is None else f"{round(count / 2**20) + 0:,}"


def kibibytes(count: float) -> str:
    """Write bytes as KiB, without the unit."""
    return significant(count / 2**10)


def interval(estimate: Estimate | None, write: Callable[[float], str]) -> str:
    """Write a median with its interval: `38.1k (36.0k - 39.9k)`."""
    if estimate is None:
        return NOT_RUN
    if estimate.low is None or estimate.high is None:
        return f"{write(estimate.median)} ({estimate.shortage})"
    return f"{write(estimate.median)} ({write(estimate.low)} - {write(estimate.high)})"


def median(estimate: Estimate | None, write: Callable[[float], str]) -> str:
    """Write a median alone."""
    return NOT_RUN if estimate is None else write(estimate.median)


def outcome(name: str, signal: str | None) -> str:
    """Write how a case ended: `failed`, `audit failed`, `killed SIGKILL`."""
    return plain(" ".join(filter(None, [name.replace("_", " "), signal])))


def measured(case: Case | None, write: Callable[[Case], str]) -> str:
    """Write a figure of a case if there is one, and how the case ended if it did not end well.

    Args:
        case: the case, `None` if it was not run.
        write: writes the figure of a case.
    """
    if case is None:
        return NOT_RUN
    if case.outcome == "ok":
        return write(case)
    ending = outcome(case.outcome, case.signal)
    figure = write(case) if case.outcome in ("interrupted", "audit_failed") else NOT_RUN
    if figure != NOT_RUN:
        return f"{figure}, {ending}"
    # The audit comes last, so a figure that is missing here was not measured at all.
    return NOT_RUN if case.outcome == "audit_failed" else ending


def plain(text: object) -> str:
    """One printable line: without terminal sequences, control characters and line breaks."""
    line = " ".join(_ANSI.sub("", str(text)).split())
    return "".join(char if char.isprintable() else "?" for char in line)


def ascii_line(text: object) -> str:
    """One line in which every character takes exactly one column and is in every font."""
    return "".join(char if char.isascii() else "?" for char in plain(text))


def prose(text: object) -> Markdown:
    """One line of running text in which nothing is markup."""
    line = plain(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return Markdown(_MARKUP.sub(r"\\\1", line))


def code(text: object) -> Markdown:
    """One line in a code span that backticks in the text cannot end."""
    line = plain(text)
    ticks = "`" * (_longest_ticks(line) + 1)
    padding = " " if "`" in line else ""
    return Markdown(f"{ticks}{padding}{line}{padding}{ticks}" if line else "")


def fence(text: object, language: str = "text") -> Markdown:
    """Lines in a code block that backticks in the text cannot end."""
    lines = (
        "".join(char if char.isprintable() else "?" for char in line.expandtabs(4))
        for line in _ANSI.sub("", str(text)).splitlines()
    )
    body = "\n".join(lines)
    ticks = "`" * max(3, _longest_ticks(body) + 1)
    return Markdown(f"{ticks}{language}\n{body}\n{ticks}")


def cell(text: object) -> Markdown:
    """One cell of a Markdown table, in which a bar would begin the next one."""
    line = text if isinstance(text, Markdown) else prose(text)
    return Markdown(line.replace("|", "\\|"))


def table_line(texts: Sequence[object]) -> Markdown:
    """One line of a Markdown table."""
    return Markdown(f"| {' | '.join(map(cell, texts))} |")


def table(lines: Sequence[Sequence[object]], left: Collection[str]) -> Markdown:
    """A Markdown table.

    Args:
        lines: the first one is the headings.
        left: headings of the columns that stand to the left; numbers stand to the right.
    """
    texts = list(map(table_line, lines))
    marks = (":-- |" if heading in left else "--: |" for heading in lines[0])
    return Markdown("\n".join([texts[0], f"|{''.join(marks)}", *texts[1:]]))


def link(address: str) -> Markdown:
    """A link to a web page; anything else that claims to be one is shown as it is."""
    return Markdown(f"<{address}>") if _ADDRESS.fullmatch(address) else code(address)


def ranges(numbers: Sequence[int]) -> str:
    """Write ascending numbers, neighbours as ranges: `3, 54-64`; only the first few where many."""
    ends: list[list[int]] = []
    for number in numbers:
        if ends and number == ends[-1][1] + 1:
            ends[-1][1] = number
        else:
            ends.append([number, number])
    texts = [f"{low}-{high}" if high > low else f"{low}" for low, high in ends[:_MAX_RANGES]]
    return ", ".join([*texts, "..."] if len(ends) > _MAX_RANGES else texts)


def enumeration(items: Sequence[str]) -> str:
    """Join with commas and a last "and"."""
    return " and ".join(filter(None, [", ".join(items[:-1]), *items[-1:]]))


def _longest_ticks(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)
