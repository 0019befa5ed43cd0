"""Asks the processes of all ranks of a case at once, and makes one answer of theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from keras_loader_bench.bench.parent.case_error import CaseError
from keras_loader_bench.bench.parent.merged_answers import merged_answer
from keras_loader_bench.bench.parent.process import Child
from keras_loader_bench.bench.parent.who_waits import waits_for_data
from keras_loader_bench.bench.plan.calibration import RoundLimits, calibrated
from keras_loader_bench.bench.plan.shares import union_of
from keras_loader_bench.bench.record.process_record import RankRecord, Round
from keras_loader_bench.loaders.audit.ranks import free_port
from keras_loader_bench.loaders.system.process_tree import kill_tree

CAUSE_S = 2.0
"""How long the other ranks may take to fail as well: who waits for a dead one fails first."""

SILENT_TOO_S = 10.0
"""The same where a rank was silent: another one may have had its last batch later."""

_KEPT = ("samples", "epochs", "seconds", "read_bytes", "steady_seconds", "steady_samples")
"""What is kept of the answer of each rank to a round of its loader."""

_GRAVEST = ("crashed", "timeout")
"""Outcomes of the rank that others wait for, before what they raise."""

_READING = ("prepare_round", "fit_batches", "warm_up", "time_to_first_batch")
"""Requests that begin by reading from a cold cache, where the case asks for one."""

_EPOCHS = 3
"""Of which the shares of all ranks are put together."""


class Ranks:
    """A `Child` that is several: `call` asks all of them and returns one answer.

    That of a round has the samples of all ranks and the seconds of the slowest. Leaving the block
    ends all processes; the first that fails ends the others.

    Args:
        settings: the keyword arguments of `bench.child.worker.Worker`, without its `rank`.
        environments: the environment variables of each rank.
        log: of rank 0; that of rank 1 is beside it, and so on.
        **options: what else `Child` is given.
    """

    def __init__(
        self,
        settings: dict[str, Any],
        environments: Sequence[Mapping[str, str]],
        *,
        log: Path,
        **options: Any,
    ) -> None:
        ranks = len(environments)
        self._case = settings["case"]
        self._rounds: list[dict[int, dict[str, Any]]] = [{} for _ in range(ranks)]
        self._first_batches: list[list[float]] = [[] for _ in range(ranks)]
        self._machines: list[Any] = []
        self._about = 0, ""
        """Epoch and half of the round that is prepared."""
        self._failed = 0
        self._all_silent = False
        port = free_port()
        with ExitStack() as stack:
            self._children = [
                stack.enter_context(
                    Child(
                        {**settings, "rank": rank, "port": port},
                        log=_log_of(log, rank),
                        environment=environment,
                        **options,
                    )
                )
                for rank, environment in enumerate(environments)
            ]
            self._pool = stack.enter_context(ThreadPoolExecutor(ranks))
            self._stack = stack.pop_all()

    @property
    def pids(self) -> list[int]:
        """The process id of each rank."""
        return [child.pid for child in self._children]

    def call(self, method: str, **args: Any) -> Any:
        """Send a request to all ranks, and wait for their answers; see `Child.call`.

        Raises:
            CaseError: one failed; the message names it.
        """
        if method == "calibrate":
            return self._calibrate(**args)
        if method in _READING and self._case["page_cache"] == "cold":
            self._drop_pages()
        answers = self._ask(method, args)
        if method == "import_framework":
            self._machines = self._ask("machine", {})
        if method == "prepare_round":
            self._about = args["epoch"], args["loader"]
        elif method == "round":
            self._keep(answers)
        elif method == "time_to_first_batch":
            for rank, seconds in enumerate(answers):
                self._first_batches[rank].append(seconds)
        merged = merged_answer(method, answers)
        return {**merged, "union": self._union()} if method == "audit" else merged

    def records(self) -> list[RankRecord]:
        """Return what each rank measured so far."""
        return [
            RankRecord(
                rank=rank,
                machine=self._machine_of(rank),
                rounds=[Round(epoch=epoch, **found) for epoch, found in sorted(rounds.items())],
                time_to_first_batch_s=self._first_batches[rank],
            )
            for rank, rounds in enumerate(self._rounds)
        ]

    def log(self, max_bytes: int | None = None) -> str:
        """Return what the rank has printed that failed, or rank 0; see `BoundedLog`.

        Where none can be named, it is what all have printed, as much of each.
        """
        if not self._all_silent:
            return self._children[self._failed].log(max_bytes)
        each = max_bytes and max_bytes // len(self._children)
        logs = (child.log(each) for child in self._children)
        return "\n".join(f"== rank {rank}\n{log}" for rank, log in enumerate(logs))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        for child in self._children:
            kill_tree(child.pid)  # first, or a thread of the pool would wait for an answer
        self._stack.close()

    def _calibrate(self, **lengths: Any) -> dict[str, int]:
        """Calibrate all ranks in step: they need rounds of one size."""
        limits = RoundLimits(**self._ask("round_limits", {})[0])
        batches, epochs = calibrated(
            lambda count: float(self.call("fit_batches", batches=count)), limits, **lengths
        )
        samples = self._ask("samples_of", {"batches": batches})[0]
        self.call("warm_up", samples=samples)
        return {"samples": samples, "epochs": epochs}

    def _drop_pages(self) -> None:
        """Drop what all ranks read while none of them does, on every machine."""
        for of in ("this", "all"):
            self._ask("drop_pages", {"of": of})

    def _union(self) -> dict[str, Any]:
        """Put together what the audit of each rank expects: the fields of a `UnionRecord`."""
        epochs = [self._ask("share", {"epoch": epoch}) for epoch in range(_EPOCHS)]
        return union_of(epochs, self._case["samples"], self._case["batch_size"])

    def _ask(self, method: str, args: Mapping[str, Any]) -> list[Any]:
        waiting = [self._pool.submit(child.call, method, **args) for child in self._children]
        done, rest = wait(waiting, return_when=FIRST_EXCEPTION)
        if failed := [error for each in done if (error := each.exception())]:
            silent = any(getattr(each, "outcome", "") == "timeout" for each in failed)
            done, _ = wait(rest | done, timeout=SILENT_TOO_S if silent else CAUSE_S)
            raise self._cause(waiting, done)
        return [each.result() for each in waiting]

    def _cause(self, asked: Sequence[Future[Any]], done: set[Future[Any]]) -> BaseException:
        """Return the error of the rank that the others have failed for, naming it."""
        failed = [
            (rank, error)
            for rank, each in enumerate(asked)
            if each in done and (error := each.exception()) is not None
        ]

        def gravity(found: tuple[int, BaseException]) -> int:
            outcome = getattr(found[1], "outcome", "")
            return _GRAVEST.index(outcome) if outcome in _GRAVEST else len(_GRAVEST)

        self._failed, error = min(failed, key=gravity)
        if not isinstance(error, CaseError):
            return error
        outcomes = [getattr(each, "outcome", "") for _, each in failed]
        # Who waits for a rank that hangs is as silent as that one; their stacks tell them apart.
        self._all_silent = outcomes == ["timeout"] * len(asked)
        which = f"rank {self._failed} of {len(asked)}"
        if self._all_silent:
            which = self._silent_ones()
        named = CaseError(
            error.outcome,
            error.kind,
            f"{which}: {error.message}",
            traceback=error.traceback,
            signal_name=error.signal_name,
        )
        named.__cause__ = error
        return named

    def _silent_ones(self) -> str:
        """Say which of the silent ranks the others wait for, as far as that can be told."""
        waiting = [n for n, child in enumerate(self._children) if waits_for_data(child.log())]
        if len(waiting) == 1:
            return (
                f"rank {waiting[0]} of {len(self._children)} waits for data, and the others for it"
            )
        return f"all {len(self._children)} ranks"

    def _machine_of(self, rank: int) -> int | None:
        """Return the number of a rank's machine; `None`: no rank has got to say."""
        known = list(dict.fromkeys(self._machines))
        return known.index(self._machines[rank]) if known else None

    def _keep(self, answers: Sequence[dict[str, Any]]) -> None:
        epoch, half = self._about
        for rounds, answer in zip(self._rounds, answers, strict=True):
            found = rounds.setdefault(epoch, {})
            if half == "ceiling":
                found["ceiling_seconds"] = answer["seconds"]
            else:
                found |= {name: answer[name] for name in _KEPT if name in answer}


def _log_of(log: Path, rank: int) -> Path:
    return log.with_name(f"{log.name}.rank{rank}") if rank else log
