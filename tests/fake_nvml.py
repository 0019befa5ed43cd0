"""A stand-in for the module `pynvml`, with cards that lack this or that.

The errors are pynvml's own; which call raises which one on which kind of card is as NVML's
reference says: power and energy are not supported on every card, a user without rights may be
refused the processes, and every call fails once the driver is gone.
"""

import types
from dataclasses import dataclass, field

import pynvml

GIB = 2**30


@dataclass
class FakeCard:
    name: str = "NVIDIA Test 100"
    uuid: str = "GPU-11111111-aaaa"
    memory_bytes: int = 80 * GIB
    used_bytes: int = 500 * 2**20
    busy_percent: int = 40
    power_mw: int = 200_000
    energy_mj: int = 1_000_000
    clock_mhz: int = 1_500
    reasons: int = 0
    pids: list[int] = field(default_factory=list)
    errors: dict[str, int] = field(default_factory=dict)
    """Name of a function -> the NVML error, or the exception, that it raises."""


class FakeNvml:
    """What the suite uses of `pynvml`."""

    NVMLError = pynvml.NVMLError
    NVMLError_FunctionNotFound = pynvml.NVMLError_FunctionNotFound

    def __init__(self, *cards, init_error=None, unknown=()):
        self.cards = list(cards)
        self.init_error = init_error
        self.unknown = unknown
        """Functions that this version does not have."""
        self.gone = False
        self.open = 0
        self.calls = 0

    def nvmlInit(self):  # noqa: N802  # pynvml's names
        if self.init_error is not None:
            raise pynvml.NVMLError(self.init_error)
        self.open += 1

    def nvmlShutdown(self):  # noqa: N802
        self.open -= 1

    def nvmlSystemGetDriverVersion(self):  # noqa: N802
        return "580.65.06"

    def nvmlDeviceGetCount(self):  # noqa: N802
        return len(self.cards)

    def nvmlDeviceGetHandleByIndex(self, index):  # noqa: N802
        if index >= len(self.cards):
            raise pynvml.NVMLError(pynvml.NVML_ERROR_INVALID_ARGUMENT)
        return self.cards[index]

    def __getattr__(self, function):
        values = {
            "nvmlDeviceGetName": lambda card: card.name,
            "nvmlDeviceGetUUID": lambda card: card.uuid,
            "nvmlDeviceGetMemoryInfo": lambda card: types.SimpleNamespace(
                total=card.memory_bytes, used=card.used_bytes
            ),
            "nvmlDeviceGetUtilizationRates": lambda card: types.SimpleNamespace(
                gpu=card.busy_percent
            ),
            "nvmlDeviceGetPowerUsage": lambda card: card.power_mw,
            "nvmlDeviceGetTotalEnergyConsumption": lambda card: card.energy_mj,
            "nvmlDeviceGetClockInfo": lambda card, kind: card.clock_mhz,
            "nvmlDeviceGetCurrentClocksEventReasons": lambda card: card.reasons,
            "nvmlDeviceGetCurrentClocksThrottleReasons": lambda card: card.reasons,
            "nvmlDeviceGetComputeRunningProcesses": lambda card: list(card.pids),
        }
        if function not in values or function in self.unknown:
            raise AttributeError(function)

        def call(card, *arguments):
            self.calls += 1
            if self.gone:
                raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
            if function in card.errors:
                error = card.errors[function]
                raise error if isinstance(error, Exception) else pynvml.NVMLError(error)
            return values[function](card, *arguments)

        return call
