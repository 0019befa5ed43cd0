"""Text that comes from elsewhere: made short, with control characters shown and not sent."""

from __future__ import annotations

import json
import re
import traceback
from types import TracebackType
from typing import Any

MAX_LENGTH = 2000
MAX_TRACEBACK = 20_000


def shown(text: str, limit: int = MAX_LENGTH, *, lines: bool = False) -> str:
    """Return a text that can stand in a message, a record or on a terminal.

    Args:
        text: whatever somebody else has written.
        limit: characters that are kept, beginning and end; the note of what was cut comes in
            addition.
        lines: whether ends of lines and tabs stay what they are.
    """
    kept, half = "\n\t" if lines else "", limit // 2

    def escaped(part: str) -> str:
        return "".join(
            each if each.isprintable() or each in kept else ascii(each)[1:-1] for each in part
        )

    if len(text) <= limit and len(whole := escaped(text)) <= limit:
        return whole
    begin, end = escaped(text[:half])[:half], escaped(text[-half:])[-half:]
    return f"{begin} [of {len(text):,} characters, most were cut] {end}"


def message_of(error: BaseException, limit: int = MAX_LENGTH) -> str:
    """Return what an exception says; its type, if that cannot be had."""
    try:
        return shown(str(error), limit, lines=True)
    except Exception as another:  # whatever `__str__` of a foreign exception does
        return f"its message cannot be read: {type(another).__name__}"


def without_traceback(message: str) -> str:
    """Return a message without the traceback that it repeats.

    What Python code raises inside of TensorFlow comes with both in one message, and torch's worker
    processes write the exception below its traceback.
    """
    before, found, inside = message.partition("Traceback (most recent call last):")
    if not found:
        return message
    before, inside = before.strip(), inside.strip()
    last = inside if before.endswith("Original") else before
    return last.rpartition("\n")[2].strip() or message


def one_line(message: str) -> str:
    """Return the line of a message that says what was wrong; nothing if it says nothing."""
    line = (without_traceback(message).strip().splitlines() or [""])[0]
    return re.sub(r"\{\{.*?\}\} ?", "", line)  # TensorFlow's names of nodes


def last_line(text: str, otherwise: str) -> str:
    """Return the last line of what a program has printed.

    Args:
        text: of its log.
        otherwise: what is said if there is none.
    """
    return (text.strip().splitlines() or [otherwise])[-1]


def traceback_of(error: BaseException, begin: TracebackType | None) -> str:
    """Return the traceback of an exception and its causes.

    Args:
        error: the exception.
        begin: where its own traceback begins, such as `error.__traceback__`.
    """
    lines = "".join(traceback.format_exception(type(error), error, begin))
    return shown(lines, MAX_TRACEBACK, lines=True)


def json_object(line: bytes) -> dict[str, Any] | None:
    """Return the JSON object that a line holds; `None`: it holds something else."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
