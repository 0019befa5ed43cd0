"""The error of a case that could not be measured, and how a child that fails is described."""

from __future__ import annotations

from keras_loader_bench.bench.record.schema import ErrorRecord
from keras_loader_bench.loaders.system.process_tree import signal_name


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


def child_death(code: int, method: str, *, no_memory: bool) -> CaseError:
    """Return the error of a child that has ended.

    Args:
        code: its exit code, negative for a signal.
        method: the request that it did not answer.
        no_memory: whether the kernel has ended a process for want of memory meanwhile.
    """
    if code >= 0:
        message = f"the child exited with {code} during `{method}`"
        return CaseError("crashed", "ChildExited", message)
    name, kind, hint = signal_name(-code), "ChildKilled", ""
    if name == "SIGKILL" and no_memory:
        kind, hint = "OutOfMemory", ": the kernel says that memory ran out (`oom_kill`)"
    elif name == "SIGKILL":
        hint = " (out of memory?)"
    message = f"the child was ended by {name} during `{method}`{hint}"
    return CaseError("crashed", kind, message, signal_name=name)


def stray_output(method: str) -> CaseError:
    """Return the error of a child that writes what is no answer."""
    return CaseError(
        "failed",
        "StrayOutput",
        f"the child wrote something other than an answer to `{method}` into the pipe for answers; "
        "does the loader write to file descriptors that are not its own?",
    )


def describe_failure(error: CaseError, record: ErrorRecord | None = None) -> str:
    """Return the message of a failed test: cause, traceback and end of the log of the child."""
    which = f" (process {record.process} of the case)" if record and record.process else ""
    parts = [f"{error}{which}"]
    if error.traceback:
        parts += ["--- traceback of the child ---", error.traceback.rstrip()]
    if error.log_tail:
        parts += ["--- end of the child's log ---", error.log_tail.rstrip()]
    return "\n".join(parts)
