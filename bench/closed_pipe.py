"""Ends a command as others end when nobody reads its output any more."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable


def exit_status(main: Callable[[], int]) -> int:
    """Run a command, and end it quietly where the reader of its output, `| head`, has gone.

    Returns:
        Its exit status; 1 where the reader has gone.
    """
    try:
        status = main()
        sys.stdout.flush()
    except BrokenPipeError:
        # What is left must not be written when Python ends either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return status
