"""A guardian that forks processes of timed cases: it has imported a framework, and no more.

Imports are most of the time that a process takes to start, and every case is measured in several.
A request has the settings of a case; see `loaders.system.guardian` for the rest.

usage: python -m keras_loader_bench.bench.child.fork_server SOCKET RUN BACKEND PACKAGE...
"""

from __future__ import annotations

import gc
import os
import sys

from keras_loader_bench.bench.child.__main__ import run_case
from keras_loader_bench.bench.child.framework import import_modules
from keras_loader_bench.loaders.system.guardian import connection, serve
from keras_loader_bench.loaders.system.process_tree import open_files

DEVICES = ("/dev/nvidia", "/dev/kfd", "/dev/dri")
"""Files through which a process reaches the driver of an accelerator."""


def _open_devices() -> list[str]:
    """Return the files of accelerators that this process holds open: it cannot be forked then."""
    paths = [str(path) for path, _ in open_files(os.getpid())]
    return [path for path in paths if path.startswith(DEVICES)]


def main() -> None:
    """Import a backend and what loaders need, and serve."""
    descriptor, run, backend, *packages = sys.argv[1:]
    parent = connection(int(descriptor), run=int(run))
    import_modules(backend=backend, packages=packages)
    if devices := _open_devices():
        sys.exit(f"Importing {backend} opened {', '.join(devices)}: it cannot be forked any more.")
    gc.collect()
    gc.freeze()  # or the first collection of each process would copy every page
    serve(parent, run_case)


if __name__ == "__main__":
    main()
