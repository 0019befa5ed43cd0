"""Monitors a GPU while a case runs: periodic readings, and the energy of each round."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, Protocol

from keras_loader_bench.bench.record.process_record import CardReading, CardRecord, Round
from keras_loader_bench.bench.sensors.nvml import FIGURES, Card, CardError
from keras_loader_bench.bench.sensors.visible_devices import PCI_BUS_ID, first_card

PERIOD_S = 0.1
MAX_SHARE_OF_CORE = 0.02
"""A card that is slow to answer is asked less often."""


class ReadableCard(Protocol):
    """What is watched: `bench.sensors.nvml.Card`, or what stands in for it."""

    missing: dict[str, str]

    def read(self) -> dict[str, Any]:
        """Return the figures of the card."""

    def processes(self) -> int | None:
        """Return how many processes compute on it."""


def open_card(environment: Mapping[str, str]) -> Card:
    """Return the card that a case with this environment would use.

    Raises:
        CardError: there is none, or NVML cannot read it.
    """
    which = first_card(environment)
    if which is None:
        raise CardError("CUDA_VISIBLE_DEVICES hides every card")
    card = Card(which)
    order = environment.get("CUDA_DEVICE_ORDER", PCI_BUS_ID)
    if isinstance(which, int) and order != PCI_BUS_ID and card.count != 1:
        card.close()
        raise CardError(
            f"CUDA_DEVICE_ORDER is `{order}`: card {which} of CUDA_VISIBLE_DEVICES may be another "
            f"one on the bus; name it by its UUID or set {PCI_BUS_ID}"
        )
    return card


def describe_card(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return what `Card.describe` says of the card in use; or `reason`, why there is none."""
    try:
        card = open_card(environment)
    except CardError as error:
        return {"reason": str(error)}
    try:
        return card.describe()
    finally:
        card.close()


def count_cards(environment: Mapping[str, str]) -> int:
    """Return how many cards the machine has; 0 where none can be used or NVML does not say."""
    return describe_card(environment).get("count") or 0


class CardMonitor:
    """Reads a card from now until `stop`, in a thread of its own.

    Made before a case starts, so that what it finds on the card is not the case's.

    Args:
        card: the card.
        own: processes of the case that compute on it.
    """

    def __init__(self, card: ReadableCard, *, own: int = 1) -> None:
        self._card = card
        self._own = own
        self._start = time.monotonic()
        self._lock = threading.Lock()
        self._readings: list[CardReading] = []
        self._others = card.processes()
        self._most_processes = self._others
        self.read()
        self._idle = self._readings[0]
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="card-monitor", daemon=True)
        self._thread.start()

    def read(self) -> CardReading:
        """Take a reading now; its `t` is seconds since the monitor was made."""
        with self._lock:
            reading = CardReading(t=round(time.monotonic() - self._start, 4), **self._card.read())
            self._readings.append(reading)
            return reading

    def energy(self, start: CardReading, end: CardReading) -> tuple[float | None, str | None]:
        """Return the joules that the card has used between two readings, and how that is known.

        Returns:
            `counter`: from the card's own counter. `power`: the power of all readings between the
            two, integrated; a counter that has not moved is too slow for so short a time. Both
            `None` if the card tells neither.
        """
        before, after = start.energy_j, end.energy_j
        if before is not None and after is not None and after > before:
            return after - before, "counter"
        with self._lock:
            between = [r for r in self._readings if start.t <= r.t <= end.t]
        known = [(r.t, r.power_w) for r in between if r.power_w is not None]
        if len(known) < 2:
            return None, None
        pieces = ((t2 - t1) * (p1 + p2) / 2 for (t1, p1), (t2, p2) in pairwise(known))
        return sum(pieces), "power"

    def stop(self, rounds: Sequence[Round] = ()) -> CardRecord:
        """End the thread and return what was read.

        Other processes are those that computed on the card before the case or beside its own.

        Args:
            rounds: of the case. Readings before and after them are left out: nothing is said of
                them, and a long audit has more of them than its rounds.
        """
        self._stopping.set()
        self._thread.join()
        others = self._others
        if others is not None and self._most_processes is not None:
            others = max(others, self._most_processes - self._own)
        return CardRecord(
            idle=self._idle,
            readings=_during(rounds, self._readings),
            other_processes=others,
            missing=dict(self._card.missing),
        )

    def _watch(self) -> None:
        period = PERIOD_S
        while not self._stopping.wait(period):
            start = time.thread_time()
            reading = self.read()
            count = self._card.processes()
            if count is not None:
                self._most_processes = max(count, self._most_processes or 0)
            period = max(PERIOD_S, (time.thread_time() - start) / MAX_SHARE_OF_CORE)
            if all(getattr(reading, figure) is None for figure in FIGURES):
                return  # the driver is gone; `missing` says how


def _during(rounds: Sequence[Round], readings: Sequence[CardReading]) -> list[CardReading]:
    """Return the readings from the first round to the last; all where nothing says when."""
    starts = [t for each in rounds for t in (each.card_start, each.ceiling_start) if t is not None]
    ends = [t for each in rounds for t in (each.card_end, each.ceiling_end) if t is not None]
    if not (starts and ends):
        return list(readings)
    return [each for each in readings if min(starts) <= each.t <= max(ends)]
