"""Runs one audit in a separate process and collects its events.

A run and its processes never outlive the parent or the time limits of the run's stages.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from keras_loader_bench.loaders.system.bounded_log import BoundedLog
from keras_loader_bench.loaders.system.guarded import started
from keras_loader_bench.loaders.system.process_tree import kill_tree
from keras_loader_bench.loaders.system.text import json_object, shown

Event = dict[str, Any]
"""What a run reports; `event` says what kind of report it is."""

POLL_S = 0.1
LOG_LINES = 20
MAX_LINE_BYTES = 2**22


@dataclass(frozen=True, kw_only=True)
class AuditRun:
    """What came out of a run."""

    events: tuple[Event, ...]
    """In the order in which they were reported."""

    timed_out: bool
    exit_status: int
    """Of its process; negative: the number of the signal that ended it."""

    log: str
    """The last lines that it printed, `LOG_LINES` at most."""

    def event(self, kind: str) -> Event | None:
        """Return the last event of a kind; `None`: there is none."""
        return next((event for event in reversed(self.events) if event["event"] == kind), None)

    def all(self, kind: str) -> list[Event]:
        """Return all events of a kind."""
        return [event for event in self.events if event["event"] == kind]


def run(
    module: str,
    settings: Mapping[str, Any],
    *,
    environment: Mapping[str, str],
    timeout_s: float,
    watch: Callable[[Event | None], None] = lambda event: None,
    command: Callable[[list[str]], list[str]] = list,
) -> AuditRun:
    """Start a module in a process of its own, and return when that has ended.

    Args:
        module: started with the settings as JSON; its standard output is for events.
        settings: what the run is to do.
        environment: variables that are set for it besides those of this process.
        timeout_s: seconds after which it is ended, counted anew when a stage begins; the event of
            a stage may ask for more, in `may_take_s`.
        watch: called with each event when it is read, and with `None` several times a second.
        command: given the program and its arguments, returns what is started in their place.
    """
    arguments = command([sys.executable, "-m", module, json.dumps(settings)])
    with (
        tempfile.TemporaryFile() as events_file,
        tempfile.TemporaryFile() as log_file,
        started(
            arguments,
            output=events_file.fileno(),
            log=log_file.fileno(),
            environment={**os.environ, **environment},
        ) as process,
    ):
        log, lines = BoundedLog(log_file.fileno()), _Lines(events_file.fileno())
        events: list[Event] = []
        deadline = time.monotonic() + timeout_s

        def read() -> None:
            nonlocal deadline
            for line in lines.new():
                event = json_object(line) or {}  # not what was printed before the run could begin
                if "event" in event:
                    events.append(event)
                    watch(event)
                if event.get("event") == "stage":
                    deadline = time.monotonic() + limit_s(event, timeout_s)

        ended = False
        while not ended and time.monotonic() < deadline:
            ended = process.ended(POLL_S)
            log.trim()
            read()
            watch(None)
        if not ended:
            kill_tree(process.pid)
        exit_status = process.wait()
        while lines.has_more():
            read()
        printed = log.text().splitlines()
    return AuditRun(
        events=tuple(events),
        timed_out=not ended,
        exit_status=exit_status,
        log="\n".join(shown(line) for line in printed[-LOG_LINES:]),
    )


def limit_s(stage: Event, timeout_s: float) -> float:
    """Return how many seconds a stage may take."""
    return max(timeout_s, float(stage.get("may_take_s", 0)))


class _Lines:
    """Reads the lines of a file that another process writes."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._place = 0
        self._begun = b""

    def has_more(self) -> bool:
        """Return whether anything has not been read."""
        return os.fstat(self._descriptor).st_size > self._place

    def new(self) -> list[bytes]:
        """Return those that have been written in full since the last time, some at a time."""
        part = os.pread(self._descriptor, MAX_LINE_BYTES, self._place)
        self._place += len(part)
        *lines, self._begun = (self._begun + part).split(b"\n")
        self._begun = self._begun[:MAX_LINE_BYTES]
        return lines
