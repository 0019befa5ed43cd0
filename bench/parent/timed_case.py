"""Runs a timed case: pairs of a ceiling round and a loader round, then the first batch."""

from __future__ import annotations

import time
from statistics import median
from typing import Any

from keras_loader_bench.bench.parent.measurement import Measurement
from keras_loader_bench.bench.parent.process import Child
from keras_loader_bench.bench.record.process_record import CardReading, DeviceMemory, Round
from keras_loader_bench.bench.sensors.card_monitor import CardMonitor
from keras_loader_bench.bench.sensors.machine import cpu_seconds
from keras_loader_bench.bench.statistics import ratios

FIRST_BATCH_REPEATS = 7

BOUNDARY_EPOCHS = 10
BOUNDARY_BATCHES = 32
"""Epochs, and batches per epoch, of the `fit` that measures the pause between epochs."""


def time_rounds(run: Measurement, child: Child, card: CardMonitor | None, benchmark: Any) -> None:
    """Measure the rounds of a case, and then the time to the first batch.

    Args:
        run: the case; the record of its process gets `rounds`, `time_to_first_batch_s`,
            `epoch_boundary_s` and, on an accelerator, `device_memory`.
        child: the process of the case, which has done nothing yet.
        card: watches the card that the backend may use; `None`: there is none to watch.
        benchmark: pytest-benchmark's fixture.

    Raises:
        CaseError: it failed.
    """
    run.progress.step("start")
    run.import_framework(child)
    for request in ("make_model", "make_ceiling", "make_loader"):
        child.call(request)
    run.progress.step("calibrate")
    size = child.call(
        "calibrate",
        seconds=run.protocol.round_seconds,
        accelerator_seconds=run.protocol.accelerator_round_seconds,
    )
    _rounds(run, child, card if run.on_accelerator else None, benchmark, size)
    if run.on_accelerator:
        run.process.device_memory = DeviceMemory(**child.call("device_memory"))
    rounds = run.process.rounds
    # On a CPU the CNN's first step would hide the batch.
    if run.case.bench == "feed" or (run.case.bench == "train" and run.on_accelerator):
        run.process.time_to_first_batch_s = [
            child.call(
                "time_to_first_batch", epoch=len(rounds) + 1 + repeat, samples=size["samples"]
            )
            for repeat in range(FIRST_BATCH_REPEATS)
        ]
        run.process.epoch_boundary_s = child.call(
            "epoch_boundaries", epochs=BOUNDARY_EPOCHS, batches=BOUNDARY_BATCHES
        )
    benchmark.extra_info.update(
        samples_per_s=median(ratios([r.samples for r in rounds], [r.seconds for r in rounds])),
        accelerator_utilization=median(
            ratios([r.ceiling_seconds for r in rounds], [r.seconds for r in rounds])
        ),
    )


def _rounds(
    run: Measurement, child: Child, card: CardMonitor | None, benchmark: Any, size: dict[str, int]
) -> None:
    rounds = run.process.rounds
    measured: dict[str, Any] = {}
    before: CardReading | None = None

    def setup() -> None:
        nonlocal before
        epoch = len(rounds) + 1
        if card is not None:
            measured["ceiling_start"] = card.read().t
        child.call("prepare_round", loader="ceiling", epoch=epoch, **size)
        ceiling = child.call("round")
        if "steady_seconds" in ceiling:
            measured["ceiling_steady_seconds"] = ceiling["steady_seconds"]
        measured.update(
            epoch=epoch,
            ceiling_seconds=ceiling["seconds"],
            ceiling_cpu_seconds=child.call("cpu_of_round"),
        )
        child.call("prepare_round", loader="loader", epoch=epoch, **size)
        if card is not None:
            before = card.read()

    def target() -> None:
        machine = cpu_seconds()
        start = time.perf_counter()
        measured.update(child.call("round"))
        overhead = time.perf_counter() - start - measured["seconds"]
        measured["parent_overhead_seconds"] = overhead
        for name, after in cpu_seconds().items():
            measured[f"machine_{name}_cpu_seconds"] = after - machine[name]

    def teardown() -> None:
        if card is not None and before is not None:
            after = card.read()
            joules, source = card.energy(before, after)
            measured.update(
                card_start=before.t,
                card_end=after.t,
                energy_j=joules,
                energy_source=source,
            )
        rounds.append(Round(**measured, cpu_seconds=child.call("cpu_of_round")))
        rate = measured["samples"] / measured["seconds"]
        run.progress.round(len(rounds), run.protocol.rounds, rate)

    benchmark.pedantic(target, setup=setup, teardown=teardown, rounds=run.protocol.rounds)
