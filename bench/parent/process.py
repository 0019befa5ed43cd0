"""Starts, asks and ends the process of a case.

A child never outlives its case, and every failure has an outcome.
"""

from __future__ import annotations

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any, Protocol, Self

from keras_loader_bench.loaders.system.process_tree import kill_tree

LOG_TAIL_BYTES = 4096
MAX_LOG_BYTES = 2**20


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


class Started(Protocol):
    """A process that has begun; `subprocess.Popen` is one."""

    pid: int

    @property
    def stdin(self) -> IO[str] | None:
        """Takes requests."""

    @property
    def stdout(self) -> IO[str] | None:
        """Gives answers."""

    def wait(self) -> int:
        """Return its exit code when it has ended, negative for a signal."""


class Start(Protocol):
    """A way to begin a process."""

    def __call__(
        self, settings: dict[str, Any], log: IO[bytes], environment: Mapping[str, str]
    ) -> Started:
        """Begin a process that serves the case of these settings."""


def start_interpreter(
    settings: dict[str, Any], log: IO[bytes], environment: Mapping[str, str]
) -> Started:
    """Start a new Python."""
    return subprocess.Popen(  # noqa: S603  # our own module, no shell
        [sys.executable, "-m", "keras_loader_bench.bench.child", json.dumps(settings)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        env=environment,
        encoding="utf-8",
        start_new_session=True,  # Ctrl-C reaches the parent only, which ends the child
    )


class Child:
    """One fresh process that answers requests: `with Child(...) as child: child.call("ping")`.

    Leaving the block, for whatever reason, ends the process and all its descendants.

    Args:
        settings: the keyword arguments of `bench.child.worker.Worker`.
        backend: the Keras backend that the process is given.
        environment: its other environment variables; those of this process unless given.
        log: file for everything that the process prints.
        timeout_s: seconds from now until every further call fails.
        start: how the process begins.
    """

    def __init__(
        self,
        settings: dict[str, Any],
        *,
        backend: str,
        log: Path,
        timeout_s: float,
        environment: Mapping[str, str] = os.environ,
        start: Start = start_interpreter,
    ) -> None:
        self._log = log
        self._timeout_s = timeout_s
        self._answers: queue.SimpleQueue[str] = queue.SimpleQueue()
        with log.open("wb") as log_file:
            self._process = start(settings, log_file, {**environment, "KERAS_BACKEND": backend})
        self._deadline = time.monotonic() + timeout_s  # a server's imports are not the case's
        self._reader = threading.Thread(target=self._read, name="child-answers", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Process id of the child."""
        return self._process.pid

    def call(self, method: str, **args: Any) -> Any:
        """Send a request to the child and wait for its answer.

        Raises:
            CaseError: the child raised, died, or did not answer in time.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({"call": method, "args": args}) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._death(method) from None
        try:
            answer = self._answers.get(timeout=max(0.0, self._deadline - time.monotonic()))
        except queue.Empty:
            raise CaseError(
                "timeout",
                "Timeout",
                f"no answer to `{method}` within the {self._timeout_s:g} s of the case; "
                "use a larger --case-timeout if it is only slow.",
            ) from None
        if not answer:
            raise self._death(method)
        reply = json.loads(answer)
        if "error" in reply:
            error = reply["error"]
            outcome = "refused" if error["refused"] else "failed"
            raise CaseError(outcome, error["type"], error["message"], traceback=error["traceback"])
        return reply["ok"]

    def log(self, max_bytes: int = MAX_LOG_BYTES) -> str:
        """Return the end of the child's output."""
        with self._log.open("rb") as log_file:
            log_file.seek(max(0, self._log.stat().st_size - max_bytes))
            return log_file.read().decode(errors="replace")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        kill_tree(self.pid)
        self._process.wait()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            # Broken where the child did not live to read a request.
            with contextlib.suppress(BrokenPipeError):
                pipe.close()

    def _read(self) -> None:
        """Queue the child's answers; an empty one means that the child closed the pipe."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._answers.put(line)
        self._answers.put("")

    def _death(self, method: str) -> CaseError:
        code = self._process.wait()
        if code < 0:
            name = signal.Signals(-code).name
            hint = " (out of memory?)" if name == "SIGKILL" else ""
            message = f"the child was ended by {name} during `{method}`{hint}"
            return CaseError("crashed", "ChildKilled", message, signal_name=name)
        return CaseError(
            "crashed", "ChildExited", f"the child exited with {code} during `{method}`"
        )
