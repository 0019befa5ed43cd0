"""Times the ways of copying a batch to the device; run this module with `python -m`.

Prints the median of 30 copies of each size, until the call returns and until the copy is done. That
tells what the bridge on torch should do. Needs torch or JAX; on a CPU it only shows that it works.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

MEBIBYTES = (0.75, 3, 12)
"""64, 256 and 1,024 CIFAR-10 images as float32; the first two also about 256 and 1,024 as bytes."""

WARM_UP = 5
COPIES = 30

Way = tuple[str, Callable[[], Any], Callable[[], Any]]
"""What it is, the copy, and what waits for it."""


def main() -> None:
    """Print a table."""
    print(f"{'MiB':>6}  {'way':<42}{'returns (ms)':>13}{'done (ms)':>11}")
    for size in MEBIBYTES:
        array = np.random.default_rng(0).integers(0, 256, int(size * 2**20), dtype=np.uint8)
        for name, copy, wait in _ways(array):
            returns, done = _milliseconds(copy, wait)
            print(f"{size:>6}  {name:<42}{returns:>13.3f}{done:>11.3f}", flush=True)


def _milliseconds(copy: Callable[[], Any], wait: Callable[[], Any]) -> tuple[float, float]:
    for _ in range(WARM_UP):
        copy()
    wait()
    returned, done = [], []
    for _ in range(COPIES):
        start = time.perf_counter()
        copy()
        returned.append(time.perf_counter() - start)
        wait()
        done.append(time.perf_counter() - start)
    return 1000 * median(returned), 1000 * median(done)


def _ways(array: npt.NDArray[np.uint8]) -> Iterator[Way]:
    other = np.empty_like(array)
    yield "numpy copy", lambda: np.copyto(other, array), lambda: None
    with contextlib.suppress(ModuleNotFoundError):
        yield from _torch_ways(array)
    with contextlib.suppress(ModuleNotFoundError):
        yield from _jax_ways(array)


def _torch_ways(array: npt.NDArray[np.uint8]) -> Iterator[Way]:
    import torch

    tensor = torch.from_numpy(array)
    if not torch.cuda.is_available():
        yield "torch: clone (no CUDA here)", tensor.clone, lambda: None
        return
    wait = torch.cuda.synchronize
    pinned = tensor.pin_memory()
    yield "torch: .to", lambda: tensor.to("cuda"), wait
    yield (
        "torch: .pin_memory().to(non_blocking=True)",
        lambda: tensor.pin_memory().to("cuda", non_blocking=True),
        wait,
    )
    yield "torch: pinned, .to", lambda: pinned.to("cuda"), wait
    yield (
        "torch: pinned, .to(non_blocking=True)",
        lambda: pinned.to("cuda", non_blocking=True),
        wait,
    )


def _jax_ways(array: npt.NDArray[np.uint8]) -> Iterator[Way]:
    import jax

    last: list[Any] = []

    def put() -> None:
        last[:] = [jax.device_put(array)]

    yield f"JAX: device_put ({jax.devices()[0]})", put, lambda: jax.block_until_ready(last)


if __name__ == "__main__":
    main()
