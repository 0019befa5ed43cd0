"""Runs a memory case: its phases, readings and budget."""

from __future__ import annotations

from contextlib import suppress

from keras_loader_bench.bench.parent.case_error import CaseError
from keras_loader_bench.bench.parent.measurement import Measurement
from keras_loader_bench.bench.parent.process import Asked
from keras_loader_bench.bench.record.process_record import MemoryLimit, MemoryRecord
from keras_loader_bench.bench.sensors.budget import RLIMIT_DATA, enforcement, says_refused
from keras_loader_bench.bench.sensors.memory_sampler import MemorySampler
from keras_loader_bench.bench.sensors.watchdog import Watchdog

_CEILING_SAMPLES = 10_000
_MIB = 2**20

_INPUT_SECONDS = 1.5
"""A longer epoch of a user's input is read in part."""


def sample_memory(run: Measurement, child: Asked) -> None:
    """Sample the child's process tree, or those of all ranks, while it makes its loader and trains.

    Args:
        run: the case; its process' `memory` is filled, whatever happens.
        child: the process of the case, which has done nothing yet.

    Raises:
        CaseError: it failed, or it died of its budget; see `bench.record.schema.DEATHS`.
    """
    budget_bytes = run.protocol.memory_budget_bytes
    if run.case.ranks > 1 and run.protocol.launcher != "local":
        raise CaseError(
            "skipped",
            "OtherMachines",
            "the memory of ranks on other machines cannot be read from here; leave out "
            "`--launcher`, or memory cases",
        )
    try:
        sampler = MemorySampler(*child.pids)
    except NotImplementedError as error:
        raise CaseError("skipped", "NoMemoryMetric", str(error)) from None
    memory = run.process.memory = MemoryRecord(budget_bytes=budget_bytes)
    watchdog: Watchdog | None = None
    try:
        with sampler:
            _until_baseline(run, child, sampler, memory)
            if budget_bytes is not None:
                watchdog = _enforce(run, child, sampler, memory, budget_bytes)
            _with_loader(run, child, sampler)
    except TimeoutError as error:
        raise CaseError("timeout", "Unreadable", str(error)) from error
    except CaseError as error:
        excess = watchdog.excess_bytes if watchdog else None
        raise _explained(error, memory, excess, child) from error
    finally:
        with suppress(TimeoutError):  # the same: it has been said
            sampler.add_to(memory)
    if memory.limit is not None:
        # The audit has what it needs: its models are no part of the loader.
        child.call("limit_memory", budget_bytes=None)


def _until_baseline(
    run: Measurement, child: Asked, sampler: MemorySampler, memory: MemoryRecord
) -> None:
    run.progress.step("start")
    sampler.phase("import")
    run.import_framework(child)
    sampler.phase("model")
    child.call("make_model")
    sampler.phase("ceiling")
    child.call("make_ceiling")
    size = _input_plan(run, 1)[0] if run.case.is_input else _ceiling_size(run)
    child.call("prepare_round", loader="ceiling", epoch=0, **size)
    child.call("round")
    # Not the rows either: the order of an epoch is part of what delivering it takes.
    child.call("settle")
    sampler.phase("baseline")
    memory.baseline = sampler.read()
    sampler.begin_peaks()


def _enforce(
    run: Measurement,
    child: Asked,
    sampler: MemorySampler,
    memory: MemoryRecord,
    budget_bytes: int,
) -> Watchdog | None:
    """Enforce the budget from now on."""
    entry, workers = run.case.entry, run.case.num_workers
    how = enforcement(processes=entry.worker_processes and workers > 0)
    if how == RLIMIT_DATA:
        memory.limit = MemoryLimit(**child.call("limit_memory", budget_bytes=budget_bytes))
        memory.enforcement = how
        return None
    memory.enforcement = how
    assert memory.baseline is not None
    baseline = memory.baseline.counted_bytes
    return Watchdog(sampler, child.pids[0], baseline=baseline, budget_bytes=budget_bytes)


def _with_loader(run: Measurement, child: Asked, sampler: MemorySampler) -> None:
    sampler.phase("loader")
    child.call("make_loader")
    sampler.read()
    plan = _plan(run)
    if not run.planned or run.process.number > 1:
        # A probe for a breaking point, or a process that only tells how much footprints vary: what
        # is left of an epoch when the next one begins counts. The first one also shows growth.
        plan = plan[:2]
    for number, (kind, size) in enumerate(plan, start=1):
        sampler.phase(f"{kind} {number}")
        child.call("prepare_round", loader="loader", epoch=number, **size)
        # Here both the order and the one before are mapped: the loader holds that until it is given
        # this one. At the end of the round there are fewer files than at this peak.
        sampler.look()
        reply = child.call("round")
        # So that the last reading of a round has what stays, and not garbage that will go.
        child.call("settle")
        sampler.read()
        run.progress.round(number, len(plan), reply["samples"] / reply["seconds"])
    sampler.phase("closed")
    child.call("close_loader")
    sampler.read()


def _ceiling_size(run: Measurement) -> dict[str, int]:
    return {"samples": min(run.case.samples_per_rank, _CEILING_SAMPLES)}


def _plan(run: Measurement) -> list[tuple[str, dict[str, int]]]:
    """Return what each round is called, and its size."""
    if run.case.is_input:
        size = _input_plan(run)
        whole = size[0] == {"batches": run.about.batches}
        return [("epoch" if whole else "round", each) for each in size]
    epoch = run.case.samples_per_rank
    sizes = run.protocol.memory_plan(epoch)
    named = {epoch: "epoch"}
    return [(named.get(samples, "round"), {"samples": samples}) for samples in sizes]


def _input_plan(run: Measurement, rounds: int | None = None) -> list[dict[str, int]]:
    """Return the batches of each round of a user's input: an epoch, or what it gives in seconds."""
    about = run.about
    most = max(2, int(_INPUT_SECONDS / max(about.seconds_per_batch, 1e-6)))
    batches = min(most, about.batches or most)
    return [{"batches": batches}] * (rounds or run.protocol.memory_rounds)


def _explained(
    error: CaseError, memory: MemoryRecord, excess: int | None, child: Asked
) -> CaseError:
    """Return an error as one of the budget if that is proven, else unchanged."""
    if excess is not None:
        return CaseError(
            "over_budget",
            "OverBudget",
            f"the process tree held {excess / _MIB:,.0f} MiB over its baseline, more than the "
            f"budget of {(memory.budget_bytes or 0) / _MIB:,.0f} MiB, and was ended",
        )
    if error.outcome == "crashed" and memory.limit and says_refused(child.log(), limited=True):
        return CaseError(
            "refused",
            "RefusedAllocation",
            f"{error.message}; its log says that memory was refused",
            signal_name=error.signal_name,
        )
    return error
