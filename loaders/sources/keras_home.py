"""Keras' own folder, by Keras' own rules, without importing it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path


def keras_home() -> Path:
    """Return the folder that has Keras' settings, `keras.json`; an absolute path.

    That is `$KERAS_HOME` where it is set, else `~/.keras`, or `/tmp/.keras` where the user has no
    home or cannot write to it.
    """
    return Path(_home()).absolute()


def writable_home() -> Path:
    """Return the folder in which Keras keeps data sets; an absolute path.

    That is `keras_home()`, or `/tmp/.keras` where Keras could not write there.
    """
    home = _home()
    # Keras makes it when it is imported, which may be yet to come.
    existing = home if os.path.lexists(home) else next(filter(Path.exists, Path(home).parents), "")
    if os.access(existing, os.W_OK):
        return Path(home).absolute()
    temporary = Path("/tmp")  # noqa: S108 - where Keras puts it
    return (temporary if temporary.is_dir() else Path(tempfile.gettempdir())) / ".keras"


def expand_user(path: str | Path) -> Path:
    """Return a path with `~` replaced, or as it is where nobody knows that user's home.

    `Path.expanduser` raises then: in a container, a user may have neither HOME nor a name.
    """
    return Path(os.path.expanduser(path))  # noqa: PTH111


def _home() -> str:
    home = os.environ.get("KERAS_HOME")
    if home is None:
        user = expand_user("~")
        home = str((user if os.access(user, os.W_OK) else Path("/tmp")) / ".keras")  # noqa: S108
    return str(expand_user(home)) if home else home
