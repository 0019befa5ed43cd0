"""Ranks that somebody else has started, torchrun, srun or mpirun, run what rank 0 asks for.

They meet in a folder that all of them see: each leaves its address there, and rank 0 reads it.
Programs then run as if they ran on rank 0; see `relay` and `on_rank`.
"""

from __future__ import annotations

import queue
import secrets
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import AuthenticationError
from multiprocessing.connection import Connection, Listener
from pathlib import Path
from typing import Any

from keras_loader_bench.loaders.launchers.meeting import RankError, connect, file_of, leave
from keras_loader_bench.loaders.launchers.relay import Program

OTHERS_MAY_TAKE_S = 120.0
"""How long rank 0 waits for the others, which have nothing to do before."""

RANK_0_MAY_TAKE_S = 1800.0
"""How long others wait for rank 0, which prepares images first."""

POLL_S = 0.1
_LOCAL = "127.0.0.1"
_OWN = ("RANK", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
"""Variables of a process that nobody else knows."""

VARIABLES = {"TORCHELASTIC_USE_AGENT_STORE": "False"}
"""What is changed for all programs: torchrun's own store is for one program, not for many."""


@dataclass(frozen=True)
class OwnRank:
    """Which rank a process is."""

    rank: int
    ranks: int
    environment: Mapping[str, str]
    """Its variables, which programs have here."""

    folder: Path
    """Where the ranks meet."""

    @classmethod
    def of(cls, environment: Mapping[str, str], folder: Path) -> OwnRank:
        """Return which rank this process is.

        Raises:
            RankError: the variables do not say.
        """
        try:
            rank, ranks = int(environment["RANK"]), int(environment["WORLD_SIZE"])
        except (KeyError, ValueError):
            rank, ranks = 0, 0
        if not 0 <= rank < ranks or ranks < 2:
            given = ", ".join(f"{n}={environment.get(n)!r}" for n in ("RANK", "WORLD_SIZE"))
            raise RankError(
                "`--launcher env` is for one of at least two processes with RANK and WORLD_SIZE, "
                f"got {given}; torchrun sets them, srun and mpirun have names of their own "
                "(results/README.md)."
            )
        return cls(rank, ranks, environment, folder)

    @property
    def host(self) -> str:
        """The address of rank 0 for the others; only rank 0 is asked."""
        return _LOCAL if self._alone else self.environment.get("MASTER_ADDR", socket.gethostname())

    @property
    def _alone(self) -> bool:
        """Whether all ranks are known to be on this machine."""
        return self.environment.get("LOCAL_WORLD_SIZE") == str(self.ranks)

    @contextmanager
    def others(self) -> Iterator[None]:
        """Meet the other ranks; they end with the block. For rank 0.

        Raises:
            RankError: one does not come.
        """
        deadline = time.monotonic() + OTHERS_MAY_TAKE_S
        with ExitStack() as stack:
            connections = []
            for rank in range(1, self.ranks):
                while not (file := file_of(self.folder, rank)).exists():
                    if time.monotonic() > deadline:
                        raise RankError(
                            f"rank {rank} of {self.ranks} has left no `{file}` for "
                            f"{OTHERS_MAY_TAKE_S:g} s; all ranks need the same `--gather` folder."
                        )
                    time.sleep(POLL_S)
                connections.append(stack.enter_context(closing(connect(file))))
                connections[-1].send(dict(self.environment))
            yield
            for connection in connections:
                with suppress(OSError):  # that rank is gone
                    connection.send("all is done")

    def serve(self) -> bool:
        """Run what rank 0 asks for until it has ended. For all others.

        Returns:
            Whether rank 0 said that all is done.

        Raises:
            RankError: rank 0 does not come, or the folder has a file of this rank already.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        mine = file_of(self.folder, self.rank)
        if mine.exists():
            raise RankError(f"`{mine}` is of an earlier run; delete it, or name another folder.")
        key = secrets.token_bytes(32)
        place = (_LOCAL if self._alone else "", 0)
        with closing(Listener(place, authkey=key)) as listener:
            waiting: queue.SimpleQueue[Connection[Any, Any]] = queue.SimpleQueue()
            threading.Thread(target=_accept, args=(listener, waiting), daemon=True).start()
            host = _LOCAL if self._alone else socket.gethostname()
            address = [host, listener.address[1]]
            leave(mine, {"address": address, "key": key.hex()})
            try:
                return self._serve(waiting)
            finally:
                mine.unlink(missing_ok=True)

    def _serve(self, waiting: queue.SimpleQueue[Connection[Any, Any]]) -> bool:
        try:
            rank_0 = waiting.get(timeout=RANK_0_MAY_TAKE_S)
        except queue.Empty:
            raise RankError(
                f"rank 0 of {self.ranks} did not come for {RANK_0_MAY_TAKE_S:g} s; start it with "
                "the same `--gather` folder."
            ) from None
        programs: list[Program] = []
        threads: list[threading.Thread] = []
        with closing(rank_0):
            theirs = rank_0.recv()
            try:
                while not rank_0.poll():
                    with suppress(queue.Empty):
                        connection = waiting.get(timeout=POLL_S)
                        programs.append(Program())
                        arguments = connection, programs[-1], theirs
                        threads.append(threading.Thread(target=self._run, args=arguments))
                        threads[-1].start()
                with suppress(EOFError, OSError):  # rank 0 is gone
                    return bool(rank_0.recv())
                return False
            finally:
                for program in programs:
                    program.end()
                for thread in threads:
                    thread.join()

    def _run(
        self, connection: Connection[Any, Any], program: Program, theirs: Mapping[str, str]
    ) -> None:
        """Be the far end of a program.

        Args:
            connection: to its near end.
            program: the program.
            theirs: the variables of rank 0.
        """
        arguments, wanted, folder = connection.recv()
        threading.Thread(target=_obey, args=(connection, program), daemon=True).start()
        environment = self._changed(theirs, wanted)
        with suppress(OSError), closing(connection):  # the near end is gone
            for part in program.run(arguments, environment, folder):
                connection.send(part)

    def _changed(self, theirs: Mapping[str, str], wanted: Mapping[str, str]) -> dict[str, str]:
        """Return this rank's variables, changed as those of rank 0 were for a program."""
        kept = {n: v for n, v in self.environment.items() if n in wanted or n not in theirs}
        changed = {n: v for n, v in wanted.items() if theirs.get(n) != v}
        own = {n: self.environment[n] for n in _OWN if n in self.environment}
        return {**kept, **changed, **own}


def _accept(listener: Listener, waiting: queue.SimpleQueue[Connection[Any, Any]]) -> None:
    while True:
        try:
            waiting.put(listener.accept())
        except (AuthenticationError, EOFError):  # somebody without the key
            continue
        except OSError:  # it is closed
            return


def _obey(connection: Connection[Any, Any], program: Program) -> None:
    """Pass on what the near end sends, until it is gone."""
    with suppress(EOFError, OSError):
        while True:
            what = connection.recv()
            if isinstance(what, bytes):
                program.send(what)
            else:
                program.signal(what)
    program.end()
