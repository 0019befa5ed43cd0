"""Shows how far a run has come: in one line on a terminal, else in a line from time to time."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import TextIO

from keras_loader_bench.loaders.audit.parent import Event
from keras_loader_bench.loaders.audit.texts.words import stage_name
from keras_loader_bench.loaders.system.text import shown

TERMINAL_INTERVAL_S = 1.0
LINES_INTERVAL_S = 10.0

PASSES = {"by hand": 1, "fit": 2, "evaluate": 1, "predict": 1}
"""How often a stage reads the input before it counts anew."""


class Progress:
    """Shows the progress of a run, from the first second on.

    Args:
        name: of the run.
        stream: where it is shown.
        clock: seconds that pass.
    """

    def __init__(
        self,
        name: str,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._stream = stream or sys.stderr
        self._clock = clock
        self._terminal = self._stream.isatty()
        self._began = self._next = clock()
        self._stage = "starting"
        self._passes = 0
        self._batches: int | None = None
        self._length: int | None = None

    def __enter__(self) -> Progress:
        self.watch(None)
        return self

    def __exit__(self, *exc_info: object) -> None:
        if self._terminal:
            print("\r\033[K", end="", file=self._stream, flush=True)

    def watch(self, event: Event | None) -> None:
        """Take note of an event, and show what is new if it is time; `None`: nothing happened."""
        kind = (event or {}).get("event")
        if event and kind == "stage":
            self._stage, self._batches = stage_name(event["name"]), None
            self._passes = PASSES.get(event["name"], 0)
        elif event and kind == "progress":
            self._batches = event["batches"]
        elif event and kind in ("input", "reading"):
            length = event["length"] if kind == "input" else event["batches"]
            self._length = length if isinstance(length, int) else None
        now = self._clock()
        if now >= self._next or (self._terminal and kind == "stage"):
            self._next = now + (TERMINAL_INTERVAL_S if self._terminal else LINES_INTERVAL_S)
            self._show(now - self._began)

    def _show(self, seconds: float) -> None:
        line = f"{self._name}, {seconds:.0f} s: {self._stage}"
        if self._batches is not None:
            line += f", {self._batches:,}"
            total = self._batches
            if self._length is not None and self._passes:
                total = self._length * self._passes
                line += f" of {total:,}"
            line += " batch" if total == 1 else " batches"
        line = shown(line)
        if self._terminal:
            print(f"\r\033[K{line} ...", end="", file=self._stream, flush=True)
        else:
            print(line, file=self._stream, flush=True)
