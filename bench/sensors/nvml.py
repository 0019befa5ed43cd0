"""Reads one NVIDIA GPU through NVML, from outside the process that uses it.

A driver that is missing, forbids access or breaks costs a figure but never a run.
"""

from __future__ import annotations

import contextlib
import types
from collections.abc import Callable
from typing import Any

import pynvml

THROTTLES = {
    0x04: "power cap",
    0x08: "hardware slowdown",
    0x20: "software thermal slowdown",
    0x40: "hardware thermal slowdown",
    0x80: "power brake",
}
"""Bit of NVML's clocks event reasons -> its name. An idle card and clocks that somebody has set are
no throttling. (Numbers: the names of the constants change with NVML's versions.)"""

FIGURES = ("memory_used_bytes", "utilization", "power_w", "energy_j", "sm_clock_hz", "throttle")
"""What a reading of a card holds; each can be missing for itself."""


class CardError(Exception):
    """There is no card that NVML can read; the message says why."""


class Card:
    """One card.

    Args:
        which: its number on the bus, or the beginning of its UUID.
        library: `pynvml`, or what stands in for it.

    Raises:
        CardError: NVML or the card is not there, or may not be used.
    """

    def __init__(self, which: int | str, library: types.ModuleType | Any = pynvml) -> None:
        self._library = library
        self.missing: dict[str, str] = {}
        """Figure -> why it could not be read, the last time that it could not."""
        try:
            library.nvmlInit()
        except library.NVMLError as error:
            raise CardError(f"NVML: {error}") from None
        try:
            self._handle = self._find(which)
        except library.NVMLError as error:
            self.close()
            raise CardError(f"NVML: {error}") from None
        except CardError:
            self.close()
            raise
        self.count: int | None = self._try("count", library.nvmlDeviceGetCount)

    def _find(self, which: int | str) -> Any:
        library = self._library
        if isinstance(which, int):
            return library.nvmlDeviceGetHandleByIndex(which)
        for index in range(library.nvmlDeviceGetCount()):
            with contextlib.suppress(library.NVMLError):  # another card may be lost
                handle = library.nvmlDeviceGetHandleByIndex(index)
                if str(library.nvmlDeviceGetUUID(handle)).upper().startswith(which.upper()):
                    return handle
        raise CardError(
            f"NVML knows no GPU `{which}`, the first of CUDA_VISIBLE_DEVICES; MIG instances cannot "
            "be read."
        )

    def describe(self) -> dict[str, Any]:
        """Return `name`, `memory_bytes`, `driver`, and `count`, the cards of this machine.

        `None` for each that NVML does not tell.
        """
        library, handle = self._library, self._handle
        return {
            "name": self._try("name", lambda: str(library.nvmlDeviceGetName(handle))),
            "memory_bytes": self._try(
                "memory_bytes", lambda: int(library.nvmlDeviceGetMemoryInfo(handle).total)
            ),
            "driver": self._try("driver", lambda: str(library.nvmlSystemGetDriverVersion())),
            "count": self.count,
        }

    def read(self) -> dict[str, Any]:
        """Return `FIGURES` as they are now.

        Returns:
            `memory_used_bytes` of the whole card; `utilization`, the fraction of the last moments
            (1/6 to 1 s, by card) in which it ran anything; `power_w`, an average of the last second
            on newer cards; `energy_j` since the driver was loaded; `sm_clock_hz`; `throttle`, the
            names of what holds the clock down. `None` for each that is missing.
        """
        library, handle = self._library, self._handle
        return {
            "memory_used_bytes": self._try(
                "memory_used_bytes", lambda: int(library.nvmlDeviceGetMemoryInfo(handle).used)
            ),
            "utilization": self._try(
                "utilization", lambda: library.nvmlDeviceGetUtilizationRates(handle).gpu / 100
            ),
            "power_w": self._try("power_w", lambda: library.nvmlDeviceGetPowerUsage(handle) / 1000),
            "energy_j": self._try(
                "energy_j", lambda: library.nvmlDeviceGetTotalEnergyConsumption(handle) / 1000
            ),
            "sm_clock_hz": self._try(
                "sm_clock_hz",
                lambda: library.nvmlDeviceGetClockInfo(handle, pynvml.NVML_CLOCK_SM) * 10**6,
            ),
            "throttle": self._try("throttle", self._throttle),
        }

    def processes(self) -> int | None:
        """Return how many processes compute on the card; `None` if NVML does not say."""
        count: int | None = self._try(
            "processes",
            lambda: len(self._library.nvmlDeviceGetComputeRunningProcesses(self._handle)),
        )
        return count

    def close(self) -> None:
        """Let go of NVML."""
        self._try("close", self._library.nvmlShutdown)

    def _throttle(self) -> list[str]:
        try:
            bits = self._library.nvmlDeviceGetCurrentClocksEventReasons(self._handle)
        except (self._library.NVMLError_FunctionNotFound, AttributeError):
            # Its name before driver 535.
            bits = self._library.nvmlDeviceGetCurrentClocksThrottleReasons(self._handle)
        return [name for bit, name in THROTTLES.items() if bits & bit]

    def _try(self, figure: str, read: Callable[[], Any]) -> Any:
        try:
            return read()
        except Exception as error:  # pynvml has errors beside its own, such as for old drivers
            self.missing[figure] = f"NVML: {error}"
            return None
