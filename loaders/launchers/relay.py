"""A program that runs elsewhere as if it ran here, as `srun` does it for Slurm.

`Program` is its far end: it runs the program. `stand_in` is the near end: a process that has the
program's standard input, output and error, is sent its signals, and ends as it does. When the near
end goes first, so does the program, with all that it has started. Not for what must be fast.
"""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from keras_loader_bench.loaders.system.guarded import started

CHUNK_BYTES = 2**16
_POLL_S = 0.02
"""How often the output of a program is read."""


class Program:
    """One program, and what happens to it."""

    def __init__(self) -> None:
        self._pid: int | None = None
        self._requests: int | None = None
        self._begun = threading.Event()
        self._over = threading.Event()

    def run(
        self, arguments: Sequence[str], environment: Mapping[str, str], folder: str
    ) -> Iterator[tuple[int, bytes]]:
        """Run it; yield what it writes to 1, its standard output, or 2, and its exit code as 0.

        Args:
            arguments: program and arguments.
            environment: all of its variables.
            folder: where it runs.
        """
        os.chdir(folder)
        theirs, self._requests = os.pipe()
        with (
            # Files, which a program never waits to write to, however slow the way to the near end.
            tempfile.TemporaryFile() as output,
            tempfile.TemporaryFile() as log,
            started(
                arguments,
                output=output.fileno(),
                log=log.fileno(),
                environment=environment,
                standard_input=theirs,
            ) as process,
        ):
            os.close(theirs)
            self._pid = process.pid
            self._begun.set()
            places = {1: (output.fileno(), 0), 2: (log.fileno(), 0)}
            ended = False
            while not ended:
                ended = process.ended(_POLL_S)
                if self._over.is_set():
                    return
                for stream, (descriptor, place) in places.items():
                    while part := os.pread(descriptor, CHUNK_BYTES, place):
                        place += len(part)
                        yield stream, part
                    places[stream] = descriptor, place
            yield 0, str(process.wait()).encode()

    def send(self, data: bytes) -> None:
        """Write to its standard input; nothing: close that."""
        self._begun.wait()
        assert self._requests is not None
        with contextlib.suppress(BrokenPipeError):
            while data:
                data = data[os.write(self._requests, data) :]
                if not data:
                    return
        os.close(self._requests)

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self._begun.wait()
        assert self._pid is not None
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, number)

    def end(self) -> None:
        """End it soon: nobody reads what it writes."""
        self._over.set()


def stand_in(
    parts: Iterable[tuple[int, bytes]],
    *,
    send: Callable[[bytes], None],
    send_signal: Callable[[int], None],
) -> int:
    """Be the near end of a program, until it has ended.

    Args:
        parts: what its `Program.run` yields.
        send: its `Program.send`.
        send_signal: its `Program.signal`.

    Returns:
        Its exit code, negative for a signal; this process should `end_as` it did.
    """

    def forward() -> None:
        while data := os.read(0, CHUNK_BYTES):
            send(data)
        send(b"")

    threading.Thread(target=forward, daemon=True).start()
    for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: send_signal(number))
    for stream, part in parts:
        if stream == 0:
            return int(part)
        while part:
            part = part[os.write(stream, part) :]
    raise RuntimeError("the program ended without an exit code")


def end_as(code: int) -> int:
    """Return an exit code, or end this process by the signal that it stands for."""
    if code < 0:
        with contextlib.suppress(OSError):  # SIGKILL has no handler
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
        time.sleep(1)
    return code
