"""What the process of a case does whatever it measures: framework, limits, CPU time, devices."""

from __future__ import annotations

import gc
import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from keras_loader_bench.bench.child.cpu_time import own_cpu_seconds
from keras_loader_bench.bench.child.heap import trim_heap
from keras_loader_bench.bench.plan.case import Case
from keras_loader_bench.bench.sensors.budget import limit_allocations


class CaseProcess:
    """Requests of every case are its methods, and those of `Worker` or `InputWorker`.

    Args:
        case: fields of the `Case`.
        imports: packages that its loader needs.
        seed: of orders and models.
        rank: which of the case's ranks this process is, from 0.
        host: of rank 0.
        port: at which it listens there.
        on_batch: called for each batch of a model.
    """

    def __init__(
        self,
        *,
        case: dict[str, Any],
        imports: Sequence[str] = (),
        seed: int,
        rank: int = 0,
        host: str = "127.0.0.1",
        port: int = 0,
        on_batch: Callable[[], None] = lambda: None,
    ) -> None:
        self._case = Case(**case)
        self._imports = imports
        self._seed = seed
        self._rank, self._address = rank, f"{host}:{port}"
        self._on_batch = on_batch
        self._on_accelerator = False
        self._cpu_before = 0.0

    def import_framework(self) -> dict[str, str]:
        """Import Keras, its backend and what the loader needs; see `bench.child.framework`."""
        from keras_loader_bench.bench.child.framework import import_framework

        description = import_framework(
            backend=self._case.backend,
            packages=self._imports,
            join=self._join if self._case.trains_together else None,
        )
        self._on_accelerator = description["device"] != "cpu"
        return description

    def _join(self) -> None:
        from keras_loader_bench.bench.child.backends import current

        current().join(self._rank, self._case.ranks, self._address)

    def machine(self) -> str:
        """Return what tells the machine of this process from others, until it starts anew."""
        # Containers of one machine share it, and so its cores.
        boot = Path("/proc/sys/kernel/random/boot_id")
        return boot.read_text().strip() if boot.exists() else platform.node()

    def limit_memory(self, *, budget_bytes: int | None) -> dict[str, int] | None:
        """Refuse this process more memory from now on; `None`: no longer."""
        return limit_allocations(budget_bytes)

    def cpu_of_round(self) -> float:
        """Return the CPU seconds of this process and its descendants since `prepare_round`."""
        return own_cpu_seconds() - self._cpu_before

    def device_memory(self) -> dict[str, Any]:
        """Return what allocators took for the accelerator; see `bench.child.device`."""
        from keras_loader_bench.bench.child.device import device_memory

        return device_memory()

    def settle(self) -> None:
        """Let go of garbage and of what the C library keeps for later."""
        gc.collect()
        trim_heap()

    def ping(self) -> None:
        """Do nothing: what remains is the cost of a request."""
