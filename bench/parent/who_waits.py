"""Tells from the stacks of a process whether its `fit` waits for data, or for something else."""

from __future__ import annotations

import re

_STACK = re.compile(r"^(?:Current thread|Thread) .*\(most recent call first\):$", re.MULTILINE)
_FRAME = re.compile(r'^  File "([^"]+)", line \d+ in (\S+)$', re.MULTILINE)
_KERAS = re.compile(r".*/keras/src/(.*)")

_FIT = re.compile(r"backend/\w+/trainer\.py")
_DATA = re.compile(r"trainers/(?:epoch_iterator\.py|data_adapters/)")
"""What of Keras asks an input for its next batch: private, and a test fails when it changes."""


def waits_for_data(log: str) -> bool:
    """Return whether the last stacks in a log show a `fit` that waits for its next batch.

    Args:
        log: of a process whose `faulthandler` has printed the stacks of all threads.
    """
    last = False
    for stack in _STACK.split(log)[1:]:
        found = ((_KERAS.match(path), name) for path, name in _FRAME.findall(stack))
        frames = [(match, name) for match, name in found if match]
        if any(name == "fit" and _FIT.match(match[1]) for match, name in frames):
            last = bool(_DATA.match(frames[0][0][1]))
    return last
