"""Lets SIGTERM, which schedulers and CI send, end a run as Ctrl-C does."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

TERMINATED = 128 + signal.SIGTERM
"""Exit status of a run that was ended by SIGTERM, as a shell has it."""

_CAME = pytest.StashKey[bool]()


def end_in_order_on_sigterm(config: pytest.Config) -> None:
    """Interrupt the tests of this pytest on SIGTERM, until it ends."""

    def interrupt(number: int, frame: object) -> None:
        config.stash[_CAME] = True
        raise KeyboardInterrupt("SIGTERM")

    with contextlib.suppress(ValueError):  # pytest does not run on the main thread
        before = signal.signal(signal.SIGTERM, interrupt)
        restore: Callable[[], Any] = partial(
            signal.signal, signal.SIGTERM, before or signal.SIG_DFL
        )
        config.add_cleanup(restore)


def sigterm_came(config: pytest.Config) -> bool:
    """Return whether SIGTERM ended the tests; then another one does not keep a report away."""
    came = config.stash.get(_CAME, False)
    if came:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    return came
