"""On PYTHONPATH, gives every process of a run an accelerator: an invented card of 200 W."""

import functools
import time

from fake_nvml import FakeCard, FakeNvml

from keras_loader_bench.bench.child import worker
from keras_loader_bench.bench.sensors import card_monitor
from keras_loader_bench.bench.sensors.nvml import Card

MEMORY = {
    "peak_device_bytes": 700 * 2**20,
    "device_bytes_in_use": 300 * 2**20,
    "pinned_peak_bytes": None,
    "reason": None,
}


class RunningCard(FakeCard):
    @property
    def energy_mj(self):
        return round(200_000 * time.monotonic())

    @energy_mj.setter
    def energy_mj(self, value):
        pass


class WorkerWithCard(worker.Worker):
    @functools.wraps(worker.Worker.import_framework)
    def import_framework(self):
        description = super().import_framework()
        self._on_accelerator = True
        return {**description, "device": "Test 100"}

    def device_memory(self):
        return MEMORY


card_monitor.Card = lambda which: Card(which, FakeNvml(RunningCard()))
worker.Worker = WorkerWithCard
