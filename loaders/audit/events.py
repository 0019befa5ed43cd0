"""What a process of an audit tells the one that has started it; see `loaders.audit.parent`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from keras_loader_bench.loaders.system.process_tree import adopt_orphans, end_with_parent

Report = Callable[..., None]
"""Called with the name of an event and its fields, which are JSON."""


@contextmanager
def reporting() -> Iterator[Report]:
    """Return what reports events: to what was standard output, one a line."""
    end_with_parent()
    adopt_orphans()
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as events:
        os.dup2(2, 1)  # what the input prints must not mix with the events

        def report(event: str, **fields: Any) -> None:
            events.write(json.dumps({"event": event, **fields}) + "\n")
            events.flush()

        yield report


def end_at_once() -> NoReturn:
    """End this process: its threads and processes may not want to, and all has been reported."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def running_keras() -> dict[str, str]:
    """Import Keras and its backend, and return their versions."""
    import keras

    backend = keras.backend.backend()
    version = getattr(sys.modules.get(backend), "__version__", "")
    return {"keras": keras.__version__, "backend": backend, "version": version}
