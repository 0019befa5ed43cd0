"""Runs one audit in a separate process and collects its events.

A run and its processes never outlive the parent or the time limit.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_loader_bench.loaders.system.process_tree import kill_tree

Event = dict[str, Any]
"""What a run reports; `event` says what kind of report it is."""

POLL_S = 0.1
LOG_LINES = 20


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
    on_event: Callable[[Event], None] = lambda event: None,
) -> AuditRun:
    """Start a module in a process of its own, and return when that has ended.

    Args:
        module: started with a file for its events and the settings as JSON.
        settings: what the run is to do.
        environment: variables that are set for it besides those of this process.
        timeout_s: seconds after which it is ended.
        on_event: called with each event when it is read.
    """
    with tempfile.TemporaryDirectory(prefix="audit-") as folder:
        reports, log = Path(folder, "events"), Path(folder, "log")
        reports.touch()
        with log.open("wb") as log_file, reports.open(encoding="utf-8") as lines:
            process = subprocess.Popen(  # noqa: S603  # our own module, no shell
                [sys.executable, "-m", module, str(reports), json.dumps(settings)],
                stdin=subprocess.DEVNULL,
                stdout=log_file,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment},
                start_new_session=True,  # Ctrl-C reaches the parent only, which ends the child
            )
            events: list[Event] = []
            try:
                deadline = time.monotonic() + timeout_s
                exit_status = None
                while exit_status is None and time.monotonic() < deadline:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        exit_status = process.wait(timeout=POLL_S)
                    _read(lines, events, on_event)
            finally:
                kill_tree(process.pid)
                process.wait()
            _read(lines, events, on_event)
        printed = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return AuditRun(
        events=tuple(events),
        timed_out=exit_status is None,
        exit_status=process.returncode,
        log="\n".join(printed[-LOG_LINES:]),
    )


def _read(lines: Any, events: list[Event], on_event: Callable[[Event], None]) -> None:
    """Read the events that have been written in full."""
    while True:
        place = lines.tell()
        line = lines.readline()
        if not line.endswith("\n"):
            lines.seek(place)
            return
        events.append(json.loads(line))
        on_event(events[-1])
