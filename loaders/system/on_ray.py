"""Runs a program on a node of a Ray cluster as if it ran here, as `srun` does for Slurm.

The program has the environment, folder, standard input, output and error of this process, which
ends as it does. When this process ends first, so does the program, with all that it has started.
Not for what must be fast: what goes to and fro passes through Ray.

usage: python -m keras_loader_bench.loaders.system.on_ray {here,spread} PROGRAM [ARGUMENT ...]
       python -m keras_loader_bench.loaders.system.on_ray hold

`here`: on the node of this process; `spread`: on another one, as far as there are any. `hold` keeps
a cluster until its standard input ends: that of RAY_ADDRESS, one that runs on this machine, or one
that it starts. It prints the address of this node, and the variables that others need to find the
cluster, as JSON.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

CHUNK_BYTES = 2**16
_POLL_S = 0.02
"""How often the output of a program is read."""


class Program:
    """An actor: one program on its node."""

    def __init__(self) -> None:
        self._pid: int | None = None
        self._requests: int | None = None
        self._begun = threading.Event()

    def run(
        self, arguments: Sequence[str], environment: Mapping[str, str], folder: str
    ) -> Iterator[tuple[int, bytes]]:
        """Run it; yield what it writes to 1, its standard output, or 2, and its exit code as 0.

        Args:
            arguments: program and arguments.
            environment: all of its variables.
            folder: where it runs.
        """
        from keras_loader_bench.loaders.system.guarded import started

        os.chdir(folder)
        theirs, self._requests = os.pipe()
        with (
            # Files, which a program never waits to write to, however slow Ray is.
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


def _connect() -> Any:
    """Return Ray, connected to the cluster: RAY_ADDRESS, one that runs here, or a new one."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # nobody asked for a report to anybody
    import ray

    path = os.environ.get("PYTHONPATH")
    ray.init(
        log_to_driver=False,
        logging_level=logging.ERROR,
        include_dashboard=False,
        # Where this package is no installed one, its nodes find it as this process does.
        runtime_env={"env_vars": {"PYTHONPATH": path}} if path else None,
    )
    return ray


def hold() -> None:
    """Keep a cluster until standard input ends."""
    # The output is for the addresses alone.
    addresses = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    ray = _connect()
    variables = {"RAY_ADDRESS": ray.get_runtime_context().gcs_address}
    # https://docs.ray.io/en/latest/ray-security/token-auth.html: a cluster that this process has
    # started asks others for its token, and only this process knows that it does.
    variables |= {name: text for name, text in os.environ.items() if name.startswith("RAY_AUTH_")}
    found = {"node": ray.util.get_node_ip_address(), "variables": variables}
    print(json.dumps(found), file=addresses, flush=True)
    sys.stdin.buffer.read()
    ray.shutdown()


def run(where: str, arguments: Sequence[str]) -> int:
    """Run a program; return its exit code, negative for a signal."""
    environment = dict(os.environ)
    ray = _connect()
    strategy: Any = "SPREAD"
    if where == "here":
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        here = ray.get_runtime_context().get_node_id()
        strategy = NodeAffinitySchedulingStrategy(node_id=here, soft=False)
    # Its cores are the program's own business: two ranks may share one machine.
    options: dict[str, Any] = {"num_cpus": 0, "max_concurrency": 8, "scheduling_strategy": strategy}
    actor = ray.remote(Program).options(**options).remote()
    found = actor.run.options(num_returns="streaming").remote(
        list(arguments), environment, str(Path.cwd())
    )
    threading.Thread(target=_forward, args=(actor,), daemon=True).start()
    for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: actor.signal.remote(number))
    for reference in found:
        stream, part = ray.get(reference)
        if stream == 0:
            return int(part)
        while part:
            part = part[os.write(stream, part) :]
    raise RuntimeError("the program ended without an exit code")


def _forward(actor: Any) -> None:
    """Send the program what comes on standard input, one part after the other."""
    import ray

    while data := os.read(0, CHUNK_BYTES):
        ray.get(actor.send.remote(data))
    actor.send.remote(b"")


def main() -> None:
    """Do what the arguments say."""
    where, *arguments = sys.argv[1:]
    if where == "hold":
        hold()
        return
    code = run(where, arguments)
    if code < 0:  # as the program did
        with contextlib.suppress(OSError):  # SIGKILL has no handler
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
        time.sleep(1)
    sys.exit(code)


if __name__ == "__main__":
    main()
