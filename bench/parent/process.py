"""Asks and ends the process of a case.

A child never outlives its case, every failure has an outcome, and nothing here waits without a
limit, whatever the child does.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import selectors
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, Self

import psutil

from keras_loader_bench.bench.parent.case_error import CaseError, child_death, stray_output
from keras_loader_bench.bench.parent.silence import Silence
from keras_loader_bench.bench.parent.start import Start, start_interpreter
from keras_loader_bench.bench.record.process_record import RankRecord
from keras_loader_bench.bench.sensors.machine import memory_kills
from keras_loader_bench.loaders.system.bounded_log import BoundedLog
from keras_loader_bench.loaders.system.process_tree import kill_tree
from keras_loader_bench.loaders.system.text import json_object

POLL_S = 0.5
MAX_ANSWER_BYTES = 2**24
_ENDED = (psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD)
CLOSING_S = 2.0
"""How long a child that has closed its pipe may take to end."""


class Asked(Protocol):
    """What answers the requests of a case: a `Child`, or several; see `bench.parent.ranks`."""

    @property
    def pids(self) -> Sequence[int]:
        """The process id of each rank."""

    def call(self, method: str, **args: Any) -> Any:
        """See `Child.call`."""

    def log(self, max_bytes: int | None = None) -> str:
        """See `Child.log`."""

    def records(self) -> list[RankRecord]:
        """Return what each of several ranks measured; of one process nothing."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *exc_info: object) -> None: ...


class Child:
    """One fresh process that answers requests: `with Child(...) as child: child.call("ping")`.

    Leaving the block, for whatever reason, ends the process and all its descendants.

    Args:
        settings: the keyword arguments of `bench.child.worker.Worker`.
        backend: the Keras backend that the process is given.
        environment: its other environment variables; those of this process unless given.
        log: file for everything that the process prints.
        timeout_s: seconds from now until every further call fails.
        silence_s: seconds without a sign of life after which a call fails; see `Silence`.
        start: how the process begins.
    """

    def __init__(
        self,
        settings: dict[str, Any],
        *,
        backend: str,
        log: Path,
        timeout_s: float,
        silence_s: float = math.inf,
        environment: Mapping[str, str] = os.environ,
        start: Start = start_interpreter,
    ) -> None:
        flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC
        self._log = BoundedLog(os.open(log, flags, 0o666))
        self._timeout_s = timeout_s
        self._buffer = bytearray()
        self._number = 0
        self._memory_kills = memory_kills()
        requests, self._requests = os.pipe()
        self._answers, answers = os.pipe()
        theirs = requests, answers, self._log.descriptor
        try:
            self._process = start(settings, theirs, {**environment, "KERAS_BACKEND": backend})
        except BaseException:
            os.close(self._requests)
            os.close(self._answers)
            self._log.close()
            raise
        finally:
            os.close(requests)
            os.close(answers)
        self._deadline = time.monotonic() + timeout_s  # a server's imports are not the case's
        self.pids = [self.pid]
        self._silence = Silence(self.pid, silence_s)
        for descriptor in (self._requests, self._answers):
            os.set_blocking(descriptor, False)
        # Its pipes may be held open by others; the process itself tells when it has ended.
        self._end = _pidfd(self.pid)

    @property
    def pid(self) -> int:
        """Process id of the child."""
        return self._process.pid

    def call(self, method: str, **args: Any) -> Any:
        """Send a request to the child and wait for its answer.

        Raises:
            CaseError: the child raised, died, did not answer in time or gave no sign of life.
        """
        self._number += 1
        request = {"id": self._number, "call": method, "args": args}
        self._silence.begin()
        self._send(json.dumps(request).encode() + b"\n", method)
        reply = self._reply(method)
        if "ok" in reply:
            return reply["ok"]
        try:
            error = {name: reply["error"][name] for name in ("type", "message", "traceback")}
            refused = reply["error"]["refused"]
        except (KeyError, TypeError):
            raise stray_output(method) from None
        raise CaseError(
            "refused" if refused else "failed",
            str(error["type"]),
            str(error["message"]),
            traceback=str(error["traceback"]),
        )

    def log(self, max_bytes: int | None = None) -> str:
        """Return what the child has printed, or the end of it; see `BoundedLog`."""
        return self._log.text(max_bytes)

    def records(self) -> list[RankRecord]:
        """Return nothing: it is one process."""
        return []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        kill_tree(self.pid)
        self._process.wait()
        os.close(self._requests)
        os.close(self._answers)
        if self._end is not None:
            os.close(self._end)
        self._log.close()

    def _send(self, message: bytes, method: str) -> None:
        while message:
            try:
                message = message[os.write(self._requests, message) :]
            except BlockingIOError:
                if self._wait(self._requests, selectors.EVENT_WRITE, method):
                    raise self._death(method) from None
            except BrokenPipeError:
                raise self._closed(method) from None

    def _reply(self, method: str) -> dict[str, Any]:
        """Return the answer to the latest request; signs of life come between."""
        while True:
            message = json_object(self._line(method)) or {}
            if message.get("id") == self._number and ("ok" in message or "error" in message):
                return message
            if message.keys() != {"steps"}:
                raise stray_output(method)
            self._silence.sign(message["steps"])

    def _line(self, method: str) -> bytes:
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > MAX_ANSWER_BYTES:
                raise stray_output(method)
            ended = self._wait(self._answers, selectors.EVENT_READ, method)
            read: bytes | None
            try:
                read = os.read(self._answers, 2**16)
            except BlockingIOError:
                read = b"" if ended else None
            if read:
                self._buffer += read
            elif read is not None:
                raise self._closed(method)
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line

    def _wait(self, descriptor: int, event: int, method: str) -> bool:
        """Wait until a pipe is ready or the child has ended; return whether it has ended."""
        with selectors.DefaultSelector() as selector:
            selector.register(descriptor, event)
            if self._end is not None:
                selector.register(self._end, selectors.EVENT_READ)
            while True:
                left = self._time_left(method)
                ready = {key.fd for key, _ in selector.select(min(left, POLL_S))}
                ended = self._end in ready or (self._end is None and self._has_ended())
                if ready or ended:
                    return ended

    def _time_left(self, method: str) -> float:
        """Return the seconds that the case has, and keep the log small.

        Raises:
            CaseError: there are none, or the child has been silent for too long.
        """
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise CaseError(
                "timeout",
                "Timeout",
                f"no answer to `{method}` within the {self._timeout_s:g} s of the case; "
                "use a larger --case-timeout if it is only slow.",
            )
        self._log.trim()
        if found := self._silence.look(method):
            raise CaseError("timeout", "Hang", found)
        return left

    def _has_ended(self) -> bool:
        try:
            return psutil.Process(self.pid).status() in _ENDED
        except psutil.NoSuchProcess:
            return True

    def _closed(self, method: str) -> CaseError:
        """Return why there are no more answers."""
        until = time.monotonic() + CLOSING_S
        while time.monotonic() < until:
            if self._has_ended():
                return self._death(method)
            time.sleep(0.01)
        return CaseError(
            "crashed", "ClosedPipe", f"the child closed a pipe to its parent during `{method}`"
        )

    def _death(self, method: str) -> CaseError:
        kills = memory_kills()
        no_memory = kills is not None and kills > (self._memory_kills or 0)
        return child_death(self._process.wait(), method, no_memory=no_memory)


def _pidfd(pid: int) -> int | None:
    """Return a descriptor that can be read when a process has ended; `None`: there is none."""
    if hasattr(os, "pidfd_open"):
        with contextlib.suppress(OSError):  # it has ended already, or the kernel is too old
            return os.pidfd_open(pid)
    return None
