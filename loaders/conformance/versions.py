"""Other versions of Keras beside the installed one, each in a folder of its own."""

from __future__ import annotations

import os
import re
import subprocess
import sys

from keras_loader_bench.loaders.sources.cache import cache_folder
from keras_loader_bench.loaders.system.text import last_line

OWN_SINCE = (3, 12)
"""Keras that this project needs: its loaders are not tried on older ones."""

_VERSION = re.compile(r"3\.\d+\.\d+")


class VersionError(ValueError):
    """There is no such version, or it cannot be installed; the message says why."""


def checked_versions(text: str) -> list[str]:
    """Return the versions of a list with commas.

    Raises:
        VersionError: one is none of Keras 3.
    """
    versions = [each.strip() for each in text.split(",")]
    for version in versions:
        if not _VERSION.fullmatch(version):
            raise VersionError(f"`{version}` is no version of Keras 3, such as 3.15.1.")
    return versions


def environment_of(version: str | None) -> dict[str, str]:
    """Return the variables with which a new Python imports a version of Keras.

    The version is installed by pip into a folder that comes before all others; backends and all
    other packages are those of this environment. It stays for the next time.

    Args:
        version: of Keras; `None`: the installed one.

    Raises:
        VersionError: pip does not install it.
    """
    if version is None:
        return {}
    folder = cache_folder() / "keras-versions" / version
    if not folder.exists():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
        draft = folder.with_name(f"{version}.{os.getpid()}")
        command += ["--target", str(draft), f"keras=={version}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        if done.returncode:
            last = last_line(done.stderr, "it says nothing")
            raise VersionError(f"pip does not install Keras {version}: {last}")
        draft.replace(folder)  # whole or not at all
    before = filter(None, [os.environ.get("PYTHONPATH")])
    return {"PYTHONPATH": os.pathsep.join([str(folder), *before])}
