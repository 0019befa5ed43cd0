"""Runs one process of a timed case: pairs of a ceiling and a loader round, then first batches."""

from __future__ import annotations

import time
from math import prod
from typing import Any

from keras_loader_bench.bench.parent.case_error import CaseError
from keras_loader_bench.bench.parent.measurement import Measurement
from keras_loader_bench.bench.parent.process import Asked
from keras_loader_bench.bench.plan.case import CEILING
from keras_loader_bench.bench.plan.remedies import NONE
from keras_loader_bench.bench.record.process_record import DeviceMemory, DirectRead, Round
from keras_loader_bench.bench.sensors.card_monitor import CardMonitor
from keras_loader_bench.bench.sensors.machine import cpu_seconds

FIRST_BATCH_REPEATS = 3
"""Per process."""

SHORTEST = 1 / 3
"""Of the wanted length of a round. In quiet processes the first one took from 0.42 of it up."""

DECODE_SECONDS = 0.5
"""How long decoding alone is timed in each process that feeds encoded images."""

BOUNDARY_EPOCHS = 4
BOUNDARY_BATCHES = 32
"""Epochs, and batches per epoch, of the `fit` that measures the pause between epochs."""


def time_rounds(run: Measurement, child: Asked, card: CardMonitor | None) -> None:
    """Measure the rounds of one process of a case, and then the time to the first batch.

    Args:
        run: the case; the record of its process gets `rounds`, `time_to_first_batch_s`,
            `epoch_boundary_s` and, on an accelerator, `device_memory`.
        child: the process, which has done nothing yet.
        card: watches the card that the backend may use; `None`: there is none to watch.

    Raises:
        CaseError: it failed.
    """
    run.progress.step("start")
    run.import_framework(child)
    run.know_input(child)
    _make(child)
    size = _size_of_round(run, child)
    size = _rounds(run, child, card if run.on_accelerator else None, size)
    run.process.ranks = child.records()
    if run.case.trains_together:
        run.process.same_weights = child.call("weights")
    if run.case.is_input and run.case.remedy == NONE:
        if run.case.bench == "feed":
            found = child.call("read_alone", batches=size["batches"])
            run.process.direct_reads.append(DirectRead(**found))
        run.process.parts = child.call("parts", batches=size["batches"])
    if run.case.image_size and run.case.bench == "feed":
        found = child.call("decode", seconds=DECODE_SECONDS)
        run.process.decoding.append(DirectRead(**found))
    if run.on_accelerator:
        run.process.device_memory = DeviceMemory(**child.call("device_memory"))
    if run.case.loader == CEILING or run.case.remedy != NONE:
        return
    # On a CPU the CNN's first step would hide the batch.
    if run.case.bench == "feed" or (run.case.bench == "train" and run.on_accelerator):
        _edges(run, child, size)
        run.process.ranks = child.records()


def _make(child: Asked) -> None:
    try:
        child.call("make_model")
    except CaseError as error:
        if error.kind == "NoModelError":  # see `bench.child.inputs.input_models`
            raise CaseError("skipped", error.kind, error.message) from error
        raise
    for request in ("make_ceiling", "make_loader"):
        child.call(request)


def _edges(run: Measurement, child: Asked, size: dict[str, int]) -> None:
    """Measure the time to the first batch, and the pause between epochs."""
    first = _first_epoch(run) + run.protocol.rounds_at_most
    one = {name: count for name, count in size.items() if name != "epochs"}
    own = run.case.is_input
    run.process.time_to_first_batch_s = [
        child.call("time_to_first_batch", epoch=first + repeat, **one)
        # An input may take seconds to begin.
        for repeat in range(1 if own else FIRST_BATCH_REPEATS)
    ]
    if not own:
        run.process.epoch_boundary_s = child.call(
            "epoch_boundaries", epochs=BOUNDARY_EPOCHS, batches=BOUNDARY_BATCHES
        )
    elif run.process.number == 1:  # it reads whole epochs
        run.process.epoch_boundary_s = child.call("epoch_boundaries")


def _first_epoch(run: Measurement) -> int:
    """Return the number of the first order of this process: no two have the same."""
    return 1 + (run.process.number - 1) * (run.protocol.rounds_at_most + FIRST_BATCH_REPEATS)


def _size_of_round(run: Measurement, child: Asked) -> dict[str, int]:
    """Warm up, and return the samples per epoch of a round and its epochs.

    The first process finds them; the others repeat the rounds of the last one.
    """
    for each in reversed(run.record.rounds):
        if each.batches and each.epochs:
            child.call("warm_up", batches=each.batches)
            return {"batches": each.batches, "epochs": each.epochs}
        if each.samples and each.epochs:
            of_rank = each.samples // each.epochs // run.case.ranks
            size = {"samples": of_rank, "epochs": each.epochs}
            child.call("warm_up", samples=_enough_to_warm_up(run, of_rank))
            return size
    return _calibrated(run, child)


def _enough_to_warm_up(run: Measurement, samples: int) -> int:
    """Return the samples of a part of a round, in whole batches; of all of it on an accelerator."""
    if run.on_accelerator:
        return samples  # what is compiled for the last batch too
    least = run.case.batch_size * run.case.steps_per_execution
    return min(samples, max(least, samples // 4 // least * least))


def _calibrated(run: Measurement, child: Asked) -> dict[str, int]:
    run.progress.step("calibrate")
    lengths: dict[str, float] = {
        "seconds": run.protocol.round_seconds_of(run.case.bench),
        "accelerator_seconds": run.protocol.accelerator_round_seconds,
    }
    if run.case.bench == "train" and not run.case.is_input:
        lengths["fewest"] = run.protocol.training_steps * run.case.steps_per_execution
    found: dict[str, int] = child.call("calibrate", **lengths)
    return found


def _rounds(
    run: Measurement, child: Asked, card: CardMonitor | None, size: dict[str, int]
) -> dict[str, int]:
    """Measure the rounds, and return their size.

    What disturbed a calibration makes rounds short, in this process and in those that repeat them.
    So the first round tells whether to calibrate again; then it is measured again as well.
    """
    rounds = run.process.rounds
    earlier = (each.rounds for each in run.record.processes if each is not run.process)
    wanted = max(map(len, earlier), default=0)  # the same in all processes
    while len(rounds) < max(1, wanted):
        epoch = _first_epoch(run) + len(rounds)
        measured = _pair(child, card, epoch, size)
        if not rounds and _is_too_short(run, size, measured["seconds"]):
            longer = _calibrated(run, child)
            if prod(longer.values()) > prod(size.values()):
                size, measured = longer, _pair(child, card, epoch, longer)
        rounds.append(Round(**measured))
        wanted = wanted or _number_of_rounds(run, size, measured["seconds"])
        run.progress.round(len(rounds), wanted, measured["samples"] / measured["seconds"])
    return size


def _number_of_rounds(run: Measurement, size: dict[str, int], seconds: float) -> int:
    if _is_one_epoch(run, size):
        return run.protocol.rounds_of_epochs(run.case.bench, seconds)
    return run.protocol.rounds


def _is_one_epoch(run: Measurement, size: dict[str, int]) -> bool:
    """Return whether a round cannot be longer: on an accelerator it may be several epochs."""
    whole_epoch = size.get("samples") == run.case.samples // run.case.ranks
    return whole_epoch and not _is_of_whole_epochs(run)


def _is_of_whole_epochs(run: Measurement) -> bool:
    return run.on_accelerator and run.case.step_ms is None


def _is_too_short(run: Measurement, size: dict[str, int], seconds: float) -> bool:
    """Return whether a round took less than it should, and may be longer."""
    if _is_one_epoch(run, size):
        return False
    wanted = run.protocol.round_seconds_of(run.case.bench)
    if _is_of_whole_epochs(run):
        wanted = run.protocol.accelerator_round_seconds
    return seconds < SHORTEST * wanted


def _pair(
    child: Asked, card: CardMonitor | None, epoch: int, size: dict[str, int]
) -> dict[str, Any]:
    measured: dict[str, Any] = {"epoch": epoch}
    # Whoever comes first finds another state of caches and clocks.
    for half in (_ceiling, _loader) if epoch % 2 else (_loader, _ceiling):
        measured.update(half(child, card, epoch, size))
    return measured


def _ceiling(
    child: Asked, card: CardMonitor | None, epoch: int, size: dict[str, int]
) -> dict[str, Any]:
    start = card.read().t if card is not None else None
    child.call("prepare_round", loader="ceiling", epoch=epoch, **size)
    ceiling = child.call("round")
    measured = {
        "ceiling_start": start,
        "ceiling_end": card.read().t if card is not None else None,
        "ceiling_seconds": ceiling["seconds"],
        "ceiling_cpu_seconds": child.call("cpu_of_round"),
    }
    if "steady_seconds" in ceiling:
        measured["ceiling_steady_seconds"] = ceiling["steady_seconds"]
    return measured


def _loader(
    child: Asked, card: CardMonitor | None, epoch: int, size: dict[str, int]
) -> dict[str, Any]:
    child.call("prepare_round", loader="loader", epoch=epoch, **size)
    before = card.read() if card is not None else None
    machine = cpu_seconds()
    start = time.perf_counter()
    measured: dict[str, Any] = child.call("round")
    measured["parent_overhead_seconds"] = time.perf_counter() - start - measured["seconds"]
    for name, after in cpu_seconds().items():
        measured[f"machine_{name}_cpu_seconds"] = after - machine[name]
    if card is not None and before is not None:
        end = card.read()
        joules, source = card.energy(before, end)
        measured.update(card_start=before.t, card_end=end.t, energy_j=joules, energy_source=source)
    measured["cpu_seconds"] = child.call("cpu_of_round")
    return measured
