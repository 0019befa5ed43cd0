"""Reading batches ahead of the one that is asked for, on threads, within a bound.

Must not know: frameworks, sources, how a batch is read.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

THREAD_NAME = "read-ahead"
"""How the names of all threads begin that are started here."""

WORTH_IT_S = 0.0007
"""Where at least this passes between a batch and the request for the next one, a thread that reads
ahead pays: no more than that can be saved. Handing a batch over costs some 50 us, more where the
thread waits for Python's lock, and a shorter step shares its cores with the thread."""

WORTH_NOTHING_S = 0.00055
"""Where less than this passes, a thread that was started ends."""

ENOUGH_AHEAD = 2
"""Batches ahead of a thread that was started because it pays: more would only take memory."""

LONGEST_PAUSE_S = 0.002
"""A thread that is in time waits no longer than this before it reads the next batch. Without such a
pause, the AU of steps of 2 ms on torch was 0.05 lower."""


def most_ahead(num_workers: int | None, prefetch_batches: int) -> int:
    """Return how many batches `ReadAhead` may hold or be reading beyond the one asked for."""
    if num_workers is None:
        return min(prefetch_batches, ENOUGH_AHEAD)
    return max(prefetch_batches, num_workers) if num_workers else 0


class ReadAhead:
    """The batches of one order: `batches[i]` is `read(i)`, which a thread may have called before.

    Threads read ahead while batches are asked for in sequence: a run. Batch 0 begins one, and so
    does a batch that follows the one before. What ends it: a batch that does not follow, the last
    batch, an error, `end_run` and `close`. What was read ahead is then dropped, and the threads end
    before anything else happens: a whole pass leaves nothing behind.

    It may be asked from several threads; no answer is given to two. Threads do not keep this object
    alive, and a forked process starts with none.

    Args:
        read: returns the batch of an index from 0 on; called from several threads at once.
        num_batches: how many batches there are.
        num_workers: threads that read ahead. 0: every batch is read by the thread that asks.
            `None`: one, while that pays: see `WORTH_IT_S`.
        prefetch_batches: see `most_ahead`.
    """

    def __init__(
        self,
        read: Callable[[int], Any],
        num_batches: int,
        *,
        num_workers: int | None,
        prefetch_batches: int,
    ) -> None:
        self._read = read
        self._num_batches = num_batches
        self._decides = num_workers is None
        self._num_workers = 1 if num_workers is None else num_workers
        self._most_ahead = most_ahead(num_workers, prefetch_batches)
        self._reset()

    def _reset(self) -> None:
        self._process = os.getpid()
        self._lock = threading.Lock()
        """Held while the run changes; `read` is never called under it, nor takes it."""
        self._threads: list[threading.Thread] = []
        self._ahead: dict[int, _Ahead] = {}
        """Batches of the run that are being read or wait to be asked for."""
        self._unread = 0
        """The first batch of the run that no thread was told to read."""
        self._pays = not self._decides
        """Whether threads are told to read ahead."""
        self._asked, self._answered_at = -2, 0.0
        """The batch that was asked for last, and when it was handed over."""
        self._step = WORTH_IT_S / 2
        """A moving average of the seconds from a batch of a run to the request for the next."""

    def __len__(self) -> int:
        return self._num_batches

    def __getitem__(self, index: int) -> Any:
        """Return a batch, from 0 to `len(self) - 1`, and let threads read those that follow.

        Raises:
            Exception: what `read` raised for this batch, with its traceback.
        """
        if not self._num_workers:
            return self._read(index)
        follows = self._watch(index)
        try:
            return self._get(index, follows)
        finally:
            self._answered_at = time.perf_counter()

    def _get(self, index: int, follows: bool) -> Any:
        if not self._pays and not self._threads:
            return self._read(index)
        if self._process != os.getpid():
            self._reset()  # a fork copies no threads, and the lock in whatever state it was
        try:
            with self._lock:
                ahead = self._take(index, follows)
            # No thread has come to it yet: whoever asks reads it rather than wait.
            return self._read(index) if ahead is None or ahead.claim() else ahead.wait()
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

    def _watch(self, index: int) -> bool:
        """Decide whether a thread pays; return whether the batch may begin or go on with a run."""
        follows = index == self._asked + 1
        if follows:
            # Several threads may ask: then this is below 0, which the average would not outgrow.
            step = max(time.perf_counter() - self._answered_at, 1e-6)
            # Of a pause, no more counts than that it was longer than twice the average.
            self._step = (self._step + min(step, 2 * self._step)) / 2
            if self._decides:
                self._pays = self._step >= (WORTH_NOTHING_S if self._pays else WORTH_IT_S)
        self._asked = index
        return follows or index == 0

    def _take(self, index: int, follows: bool) -> _Ahead | None:
        """Go on with the run, or end it; return the batch if a thread was told to read it."""
        ahead = self._ahead.pop(index, None)
        if ahead is None:
            self._end_run()
            self._unread = index + 1
        if index == self._num_batches - 1:
            self._end_run()
        elif ahead is not None or follows:
            self._read_on(index)
        return ahead

    def _read_on(self, index: int) -> None:
        """Tell the threads to read as far as the bound allows beyond a batch."""
        following = self._ahead.get(index + 1)
        begin_at = 0.0
        if following is not None and following.done():
            # There is time: who asked has something to do in Python, which both cannot do at once.
            begin_at = time.perf_counter() + min(self._step / 4, LONGEST_PAUSE_S)
        last = min(self._num_batches, self._unread + self._most_ahead - len(self._ahead))
        while self._num_workers and self._pays and self._unread < last:
            if not self._threads:
                self._start()
            self._ahead[self._unread] = ahead = _Ahead(self._unread, begin_at=begin_at)
            self._unread += 1
            self._wanted.put(ahead)

    def _start(self) -> None:
        self._wanted: SimpleQueue[_Ahead | None] = SimpleQueue()
        # Without a reference to this object. As daemons they keep no interpreter from ending.
        self._threads = [
            threading.Thread(
                target=_serve, args=(self._wanted, self._read), name=THREAD_NAME, daemon=True
            )
            for _ in range(self._num_workers)
        ]
        for thread in self._threads:
            thread.start()
        self._abandon = weakref.finalize(self, _end, self._wanted, len(self._threads))

    def _end_run(self) -> None:
        for ahead in self._ahead.values():
            ahead.claim()
        self._ahead.clear()
        threads, self._threads = self._threads, []
        if threads:
            self._abandon()
            for thread in threads:
                thread.join()  # then the bound holds for the next run too


class _Ahead:
    """A batch that a thread is to read.

    Locks of their own cost a tenth of a `Future`, with which AU was 0.02 lower, and with a
    `ThreadPoolExecutor` 0.03.
    """

    __slots__ = ("_batch", "_claimed", "_done", "_error", "begin_at", "index")

    def __init__(self, index: int, *, begin_at: float) -> None:
        self.index, self.begin_at = index, begin_at
        self._claimed, self._done = threading.Lock(), threading.Lock()
        self._done.acquire()
        self._batch: Any = None
        self._error: BaseException | None = None

    def done(self) -> bool:
        return not self._done.locked()

    def claim(self) -> bool:
        """Return whether the caller is the first who wants to read it."""
        return self._claimed.acquire(blocking=False)

    def read(self, read: Callable[[int], Any]) -> None:
        try:
            self._batch = read(self.index)
        except BaseException as error:  # raised where the batch is asked for
            self._error = error
        self._done.release()

    def wait(self) -> Any:
        self._done.acquire()
        if self._error is not None:
            raise self._error
        return self._batch


def _serve(wanted: SimpleQueue[_Ahead | None], read: Callable[[int], Any]) -> None:
    while (ahead := wanted.get()) is not None:
        pause = ahead.begin_at - time.perf_counter()
        if pause > 0:
            time.sleep(pause)
        if ahead.claim():
            ahead.read(read)
        del ahead  # while nothing is wanted, a thread holds no batch


def _end(wanted: SimpleQueue[_Ahead | None], num_threads: int) -> None:
    for _ in range(num_threads):
        wanted.put(None)
