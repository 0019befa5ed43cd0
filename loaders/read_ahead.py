"""Reading batches ahead of the one that is asked for, on threads, within a bound.

Owns: when to read ahead, how far, and the life of the threads. Must not know: frameworks, sources,
how a batch is read.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from loaders.contract import Batch

THREAD_NAME = "read-ahead"
"""How the names of all threads begin that are started here."""


class ReadAhead:
    """The batches of one order: `batches[i]` is `read(i)`, which a thread may have called before.

    Threads read ahead while batches are asked for in sequence: a run. Batch 0 begins a run, and so
    does a batch that follows the one asked for before it. A batch that does not follow ends the
    run, and so do the last batch of the order, an error, `end_run` and `close`: what was read ahead
    is then dropped, and the threads end before anything else happens. So nothing is left behind by
    a whole pass, and of batches in random order almost all are read by the thread that asks.

    It may be asked from several threads. Every answer is a batch of its own, shared with nobody.
    Threads are started when they are first needed. They do not keep this object alive, and end
    when it is collected; a forked process starts with none of them.

    Args:
        read: returns the batch of an index from 0 on; called from several threads at once.
        num_batches: how many batches there are.
        num_workers: threads that read ahead. 0: every batch is read by the thread that asks.
        prefetch_batches: batches that may be waiting or being read ahead, at least one a thread.
    """

    def __init__(
        self,
        read: Callable[[int], Batch],
        num_batches: int,
        *,
        num_workers: int,
        prefetch_batches: int,
    ) -> None:
        self._read = read
        self._num_batches = num_batches
        self._num_workers = num_workers
        self._most_ahead = max(prefetch_batches, num_workers)
        self._reset()

    def _reset(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        """Held while the run changes; `read` is never called under it, nor takes it."""
        self._threads: ThreadPoolExecutor | None = None
        self._ahead: dict[int, Future[Batch]] = {}
        """Batches of the run that are being read or wait to be asked for."""
        self._asked = -1
        """The batch that was asked for last."""
        self._unread = 0
        """The first batch of the run that no thread was told to read."""

    def __len__(self) -> int:
        return self._num_batches

    def __getitem__(self, index: int) -> Batch:
        """Return a batch, and let threads read those that follow.

        Args:
            index: from 0 to `len(self) - 1`.

        Raises:
            Exception: what `read` raised for this batch, with its traceback.
        """
        if not self._num_workers:
            return self._read(index)
        if self._process != os.getpid():
            self._reset()  # a fork copies no threads, and the lock in whatever state it was
        try:
            with self._lock:
                future = self._take(index)
            return self._read(index) if future is None else future.result()
        except BaseException:
            self.end_run()
            raise

    def end_run(self) -> None:
        """Drop what was read ahead and wait for the threads to end: one batch each at most."""
        if self._process == os.getpid():
            with self._lock:
                self._end_run()

    def close(self) -> None:
        """End the run, and begin no other: who asks for a batch then reads it."""
        self._num_workers = 0
        self.end_run()

    def _take(self, index: int) -> Future[Batch] | None:
        """Go on with the run, or end it; return the batch if a thread is reading or has read it."""
        future = self._ahead.pop(index, None)
        if future is None:
            self._end_run()
        follows = index in (0, self._asked + 1)
        self._asked = index
        if index == self._num_batches - 1:
            self._end_run()
        elif future is not None:
            self._read_on()
        elif follows:
            self._unread = index + 1
            self._read_on()
        # No thread has come to it yet: whoever asks reads it rather than wait.
        return None if future is None or future.cancel() else future

    def _read_on(self) -> None:
        """Tell the threads to read as far as the bound allows."""
        while self._num_workers and len(self._ahead) < self._most_ahead:
            if self._unread == self._num_batches:
                break
            if self._threads is None:
                self._threads = ThreadPoolExecutor(self._num_workers, THREAD_NAME)
                shutdown = self._threads.shutdown
                self._abandon = weakref.finalize(self, shutdown, wait=False, cancel_futures=True)
                self._abandon.atexit = False  # the interpreter ends such threads itself, earlier
            self._ahead[self._unread] = self._threads.submit(self._read, self._unread)
            self._unread += 1

    def _end_run(self) -> None:
        self._ahead.clear()
        threads, self._threads = self._threads, None
        if threads is not None:
            self._abandon()
            threads.shutdown(wait=True)  # then the bound holds for the next run too
