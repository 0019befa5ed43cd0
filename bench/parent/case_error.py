"""The error of a case that could not be measured."""

from __future__ import annotations


class CaseError(Exception):
    """A case could not be measured.

    Args:
        outcome: `failed` (an exception in the child), `refused` (one that says that memory was
            refused), `crashed` (the child died) or `timeout`; its user knows others.
        kind: type of the exception in the child, or of this failure.
        message: what happened, in one line.
        traceback: the child's, where it has one.
        signal_name: the signal that ended the child, such as `SIGKILL`.
    """

    def __init__(
        self,
        outcome: str,
        kind: str,
        message: str,
        *,
        traceback: str = "",
        signal_name: str | None = None,
    ) -> None:
        super().__init__(f"{kind}: {message}")
        self.outcome = outcome
        self.kind = kind
        self.message = message
        self.traceback = traceback
        self.signal_name = signal_name
        self.log_tail = ""
