"""Makes inputs whose parts are timed: the same batches, with a clock around what makes them."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from keras_loader_bench.bench.child.inputs.around_dataset import AroundDataset


class Clocks:
    """Seconds by name of a part, from any thread."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.calls: Counter[str] = Counter()
        self._lock = threading.Lock()

    @contextmanager
    def running(self, name: str) -> Iterator[None]:
        """Count the time of the block for a part."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            elapsed = time.perf_counter() - begin
            with self._lock:
                self.seconds[name] += elapsed
                self.calls[name] += 1

    def each(self, name: str, values: Iterator[Any]) -> Iterator[Any]:
        """Yield values, and count the time of making them for a part."""
        while True:
            with self.running(name):
                try:
                    value = next(values)
                except StopIteration:
                    return
            yield value

    def per_batch(self, batches: int | None = None) -> dict[str, float]:
        """Return the seconds of each part per batch that was made.

        Args:
            batches: how many these are; `None`: as many as there were calls, which are more than
                the batches that were trained on where Keras reads ahead.
        """
        made = batches or self.calls["collate"] or max(self.calls.values(), default=1)
        return {name: seconds / made for name, seconds in self.seconds.items()}


class TimedDataset(AroundDataset):
    """A `PyDataset` with a clock around `__getitem__`.

    Args:
        dataset: is asked for every batch.
        clocks: get the time of `getitem`.
    """

    def __init__(self, dataset: Any, clocks: Clocks) -> None:
        super().__init__(dataset)
        self._clocks = clocks

    def __getitem__(self, index: int) -> Any:
        with self._clocks.running("getitem"):
            return self.dataset[index]


def timed_input(value: Any, kind: str, clocks: Clocks) -> Any | None:
    """Return an input that delivers what another one does, and times its parts.

    Args:
        value: the input.
        kind: of it.
        clocks: get the times: `getitem` of a PyDataset, `next` of a generator, `dataset` and
            `collate` of a torch `DataLoader`.

    Returns:
        The input; `None` where it cannot be cut from outside: processes, tf.data, Grain.
    """
    if kind == "PyDataset" and not value.use_multiprocessing:
        return TimedDataset(value, clocks)
    if kind == "generator":
        return clocks.each("next", value)
    if kind == "torch DataLoader" and value.num_workers == 0:
        return _timed_loader(value, clocks)
    return None


class _TimedRows:
    """A map-style dataset with a clock around its samples."""

    def __init__(self, dataset: Any, clocks: Clocks) -> None:
        self._dataset = dataset
        self._clocks = clocks
        if hasattr(dataset, "__getitems__"):
            self.__getitems__ = self._get_items

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: Any) -> Any:
        with self._clocks.running("dataset"):
            return self._dataset[index]

    def _get_items(self, indices: Any) -> Any:
        with self._clocks.running("dataset"):
            return self._dataset.__getitems__(indices)


def _timed_loader(value: Any, clocks: Clocks) -> Any | None:
    from torch.utils.data import DataLoader, IterableDataset

    if isinstance(value.dataset, IterableDataset):
        return None

    def collate(samples: Any) -> Any:
        with clocks.running("collate"):
            return value.collate_fn(samples)

    rows: Any = _TimedRows(value.dataset, clocks)
    how: dict[str, Any] = {"collate_fn": collate, "pin_memory": value.pin_memory}
    if value.batch_sampler is None:
        return DataLoader(rows, batch_size=None, sampler=value.sampler, **how)
    return DataLoader(rows, batch_sampler=value.batch_sampler, **how)


def cost_of_a_clock(repeats: int = 2000) -> float:
    """Return the seconds that a clock adds to what it times: measured around nothing."""
    clocks = Clocks()
    begin = time.perf_counter()
    for _ in range(repeats):
        with clocks.running("nothing"):
            pass
    return (time.perf_counter() - begin) / repeats
