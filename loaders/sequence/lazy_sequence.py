"""The lazy Sequence: batches are gathered from the memory map when asked for, or a little before.

Must not know: how rows are ordered.
"""

from __future__ import annotations

import functools
import threading
from typing import Any

import keras

from keras_loader_bench.loaders.bridges.read_ahead import ReadAhead, most_ahead
from keras_loader_bench.loaders.contract import Batch, Pixels, Rows
from keras_loader_bench.loaders.sequence.buffered_batches import BufferedBatches
from keras_loader_bench.loaders.sequence.buffers import BufferPool, Memory, new_memory
from keras_loader_bench.loaders.sources.image_source import ImageSource


class LazySequence(keras.utils.PyDataset):
    """Delivers given rows of a source and holds none of its images but a few batches.

    `sequence[i]` depends on nothing but `i` and the rows: it may be called from any thread, in any
    order and any number of times. Its pickle holds the path of the source and the rows, no image.

    It reads ahead itself and keeps Keras from doing so: on JAX and torch, Keras' own workers drop
    some batches and repeat others. So Keras finds `workers` to be 1 whatever it is set to.

    Args:
        source, rows, batch_size, pixels: see `Batches`.
        num_workers, prefetch_batches: see `ReadAhead`.
    """

    def __init__(
        self,
        source: ImageSource,
        rows: Rows,
        *,
        batch_size: int,
        pixels: Pixels = "float32",
        num_workers: int | None = None,
        prefetch_batches: int = 4,
    ) -> None:
        super().__init__()
        self.source = source
        self.batch_size = batch_size
        self.pixels = pixels
        self._rows = rows
        self._num_workers = num_workers
        self._prefetch_batches = prefetch_batches
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.RLock()
        """Held while rows or threads are replaced."""
        self._memory: Memory = new_memory
        self._renew()
        self._tf_dataset: tuple[Any, Any] = (None, None)
        """The last one that was made, and what for: to trace its graph takes 20 ms."""

    def use_memory(self, memory: Memory) -> None:
        """Let batches lie in memory of another kind, such as pinned memory.

        Args:
            memory: see `loaders.sequence.buffers.Memory`; called from several threads.
        """
        with self._lock:
            self._memory = memory
            self._start_over()

    def _start_over(self) -> None:
        before = self._batches
        self._renew()
        before.close()

    def _renew(self) -> None:
        self._most_ahead = most_ahead(self._num_workers, self._prefetch_batches)
        self._readers = 1 + (1 if self._num_workers is None else self._num_workers)
        # Of a pass, see `BufferedBatches`, and a few for who holds batches a little longer.
        self._buffers = BufferPool(self._most_ahead + self._readers + 6, self._memory)
        self._batches = self._read_ahead()

    def _read_ahead(self) -> ReadAhead:
        # Without a reference to this sequence: threads must not keep it alive.
        batches = BufferedBatches(
            self.source,
            self._rows,
            batch_size=self.batch_size,
            pixels=self.pixels,
            buffers=self._buffers,
            most_ahead=self._most_ahead,
            readers=self._readers,
        )
        return ReadAhead(
            batches.__getitem__,
            len(batches),
            num_workers=self._num_workers,
            prefetch_batches=self._prefetch_batches,
        )

    @property
    def rows(self) -> Rows:
        """The rows that are delivered. Setting them drops what was read ahead of the old ones."""
        return self._rows

    @rows.setter
    def rows(self, rows: Rows) -> None:
        with self._lock:
            self._rows = rows
            before, self._batches = self._batches, self._read_ahead()
            before.close()

    @property
    def num_workers(self) -> int | None:
        """Threads that read ahead; `None`: as many as pay."""
        return self._num_workers

    @property
    def workers(self) -> int:
        """What Keras is told: 1. Setting it sets `num_workers`, the threads of this sequence."""
        return 1

    @workers.setter
    def workers(self, workers: int | None) -> None:
        check_workers(workers)
        with self._lock:
            self._num_workers = workers
            self._start_over()

    @property
    def use_multiprocessing(self) -> bool:
        """What Keras is told: `False`; nothing else can be set."""
        return False

    @use_multiprocessing.setter
    def use_multiprocessing(self, value: bool) -> None:
        if value:
            raise ValueError("`use_multiprocessing` must be False; `workers=N` asks for threads.")

    def close(self) -> None:
        """End the threads; each batch is then read by who asks, until `workers` is set again."""
        self.workers = 0

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, index: int) -> Batch:
        """Return a batch; negative indices count from the end, as in a list."""
        batches = self._batches  # looked up once: another thread may begin a new order
        if not -len(batches) <= index < len(batches):
            raise IndexError(f"Batch {index} does not exist: there are {len(batches)}.")
        batch: Batch = batches[index % len(batches)]
        return batch

    def as_tf_dataset(self, output_signature: Any = None) -> Any:
        """Return a `tf.data.Dataset` of the same batches: what `fit` reads fastest on TensorFlow.

        Its graph gathers the rows from the memory map and scales them. Where a subclass has a
        `__getitem__` of its own, that is called for every batch. The rows are those that the
        sequence has when a pass begins; their number may not change. `fit` shuffles their batches
        unless it is told `shuffle=False`. Give it also `steps_per_epoch=len(sequence)`: Keras then
        iterates once an epoch instead of twice.

        Args:
            output_signature: of the batches of such a subclass; see `loaders.bridge`.
        """
        from keras_loader_bench.loaders.bridges.tf_bridge import rows_dataset, tf_dataset
        from keras_loader_bench.loaders.bridges.tf_passes import PassesOfFit

        if type(self).__getitem__ is not LazySequence.__getitem__:
            return tf_dataset(self, output_signature)
        rows = self._rows
        made_for = len(rows), rows.dtype, self._num_workers
        if self._tf_dataset[0] != made_for:
            make = functools.partial(
                rows_dataset,
                self.source,
                self._rows_of_next_pass,
                num_samples=len(rows),
                dtype=rows.dtype,
                batch_size=self.batch_size,
                pixels=self.pixels,
                num_workers=self._num_workers,
                prefetch_batches=self._prefetch_batches,
            )
            num_batches = -(-len(rows) // self.batch_size)
            dataset = PassesOfFit(lambda shuffle: make(shuffle=shuffle), lambda: num_batches)
            self._tf_dataset = made_for, dataset
        return self._tf_dataset[1]

    def _rows_of_next_pass(self) -> Rows:
        return self._rows

    def on_epoch_end(self) -> None:
        """End the threads: where Keras shuffles, no batch is known to be the last of a pass."""
        self._batches.end_run()

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what belongs to one process."""
        left_out = {"_lock", "_memory", "_buffers", "_batches", "_tf_dataset"}
        return {k: v for k, v in self.__dict__.items() if k not in left_out}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._begin()


def check_workers(workers: int | None) -> None:
    """Raise `ValueError` for what is neither `None` nor an integer of at least 0."""
    if workers is not None and (not isinstance(workers, int) or workers < 0):
        raise ValueError(
            f"`workers` must be an integer of at least 0, or None, got {workers!r}. 0 reads every "
            "batch on the thread that asks for it; None starts a thread where that pays."
        )
