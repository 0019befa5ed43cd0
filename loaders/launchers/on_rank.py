"""Runs a program on a rank that others have started as if it ran here; see `relay`.

usage: python -m keras_loader_bench.loaders.launchers.on_rank FOLDER RANK PROGRAM [ARGUMENT ...]
"""

from __future__ import annotations

import os
import queue
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

from keras_loader_bench.loaders.launchers.meeting import connect, file_of
from keras_loader_bench.loaders.launchers.relay import end_as, stand_in


def run(file: Path, arguments: list[str]) -> int:
    """Run a program on the rank that left a file; return its exit code, negative for a signal."""
    # Signals come in the middle of anything: one thread writes, the others queue what is to go.
    leaving: queue.SimpleQueue[bytes | int] = queue.SimpleQueue()
    with closing(connect(file)) as connection:
        connection.send((arguments, dict(os.environ), str(Path.cwd())))

        def write() -> None:
            with suppress(OSError):
                while True:
                    connection.send(leaving.get())

        def parts() -> Iterator[tuple[int, bytes]]:
            with suppress(EOFError, OSError):
                while True:
                    yield connection.recv()

        threading.Thread(target=write, daemon=True).start()
        return stand_in(parts(), send=leaving.put, send_signal=leaving.put)


def main() -> None:
    """Be the near end of a program on another rank; rank 0 becomes the program itself."""
    folder, rank, *arguments = sys.argv[1:]
    if rank == "0":
        os.execv(arguments[0], arguments)  # noqa: S606  # the run's own interpreter, no shell
    sys.exit(end_as(run(file_of(Path(folder), int(rank)), arguments)))


if __name__ == "__main__":
    main()
