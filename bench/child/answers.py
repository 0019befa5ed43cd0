"""What a child writes to its parent: answers, and signs of life from a thread."""

from __future__ import annotations

import json
import os
import threading
import time
from typing import Any

PERIOD_S = 1.0


class Answers:
    """Writes messages, one JSON object a line.

    Args:
        descriptor: of the pipe to the parent.
    """

    def __init__(self, descriptor: int) -> None:
        self._pipe = os.fdopen(descriptor, "w", encoding="utf-8")
        self._lock = threading.Lock()
        self._steps = 0

    def send(self, message: dict[str, Any]) -> None:
        """Write one message.

        Raises:
            TypeError: it cannot be written as JSON; nothing has been written.
            ValueError: the same.
        """
        line = json.dumps(message) + "\n"
        with self._lock:
            self._pipe.write(line)
            self._pipe.flush()

    def step(self) -> None:
        """Count a batch that a model has taken."""
        self._steps += 1

    def begin(self) -> None:
        """Say once a second how many batches there were, as long as threads can run."""
        threading.Thread(target=self._beat, name="signs-of-life", daemon=True).start()

    def _beat(self) -> None:
        while True:
            time.sleep(PERIOD_S)
            try:
                self.send({"steps": self._steps})
            except OSError:  # the parent is gone
                return
