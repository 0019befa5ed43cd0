"""One loader for each way of going wrong, by name; `tests/test_faults.py` has how each must end."""

import atexit
import ctypes
import os
import re
import signal
import subprocess
import sys
import threading
import time

import numpy as np

from keras_loader_bench.loaders.sequence_loader import SequenceLoader

LONG = 100_000_000


class UnreadableError(RuntimeError):
    def __str__(self):
        return str(1 / 0)


def raises():
    raise ValueError("no batch today")


def raises_at_length():
    raise ValueError("\x1b[2J" + "x" * LONG)


def raises_unreadably():
    raise UnreadableError


def raises_want_of_memory():
    raise MemoryError


def raises_an_interrupt():
    raise KeyboardInterrupt


def exits():
    sys.exit(3)


def exits_at_once():
    os._exit(0)


def aborts():
    os.abort()


def segfaults():
    ctypes.string_at(0)


def kills_itself():
    os.kill(os.getpid(), signal.SIGKILL)


def terminates_itself():
    os.kill(os.getpid(), signal.SIGTERM)


def recurses():
    def deeper():
        deeper()

    deeper()


def asks():
    input("Which batch? ")


def sleeps():
    time.sleep(600)


def spins():
    while True:
        pass


def spins_with_the_lock():
    re.match("(a+)+$", "a" * 60 + "b")


def stops():
    os.kill(os.getpid(), signal.SIGSTOP)


def deadlocks():
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def waits_for_a_process():
    subprocess.run([sys.executable, "-c", "import time; time.sleep(600)"], check=True)


def waits_for_a_pipe():
    reader, writer = os.pipe()  # `writer` stays open, and nothing comes
    os.read(reader, 1)
    os.close(writer)


def closes_every_file():
    os.closerange(3, 4096)
    time.sleep(600)


def writes_into_every_file():
    for descriptor in range(3, 256):
        try:
            os.set_blocking(descriptor, False)
            os.write(descriptor, b"nonsense\n")
        except OSError:
            continue
    time.sleep(600)


def prints_at_length():
    line = "x" * 999
    for _ in range(LONG // 1000):
        print(line)


def leaves_a_daemon():
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            time.sleep(600)
        os._exit(0)


def leaves_a_process_and_dies():
    if os.fork() == 0:
        time.sleep(600)
    os.kill(os.getpid(), signal.SIGKILL)


def leaves_a_thread():
    threading.Thread(target=time.sleep, args=(600,)).start()


def hangs_at_exit():
    atexit.register(time.sleep, 600)


def ignores_signals():
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)


def moves_away():
    os.chdir("/")


class FaultLoader(SequenceLoader):
    """Does its fault in the first call of `fit_args`, and is right otherwise."""

    fault = staticmethod(lambda: None)
    done = False

    def fit_args(self, rows):
        if not self.done:
            self.done = True
            self.fault()
        return super().fit_args(rows)


class InitExitsLoader(SequenceLoader):
    def __init__(self, source, options):
        os._exit(7)


class InitHangsLoader(SequenceLoader):
    def __init__(self, source, options):
        time.sleep(600)


class CloseRaisesLoader(SequenceLoader):
    def close(self):
        raise OSError("it cannot be closed")


class CloseHangsLoader(SequenceLoader):
    def close(self):
        time.sleep(600)


class TooFewLoader(SequenceLoader):
    def fit_args(self, rows):
        return super().fit_args(rows[:-1])


class TooManyLoader(SequenceLoader):
    def fit_args(self, rows):
        return super().fit_args(np.concatenate([rows, rows[:1]]))


class OtherOrderLoader(SequenceLoader):
    def fit_args(self, rows):
        return super().fit_args(rows[::-1].copy())


class NothingLoader(SequenceLoader):
    def fit_args(self, rows):
        return None


class NoBatchesLoader(SequenceLoader):
    def fit_args(self, rows):
        return {"x": iter(())}


FAULTS = [
    *(raises, raises_at_length, raises_unreadably, raises_want_of_memory, raises_an_interrupt),
    *(exits, exits_at_once, aborts, segfaults, kills_itself, terminates_itself, recurses, asks),
    *(sleeps, spins, spins_with_the_lock, stops, deadlocks, waits_for_a_process),
    *(waits_for_a_pipe, closes_every_file, writes_into_every_file, prints_at_length),
    *(leaves_a_daemon, leaves_a_process_and_dies, leaves_a_thread, hangs_at_exit),
    *(ignores_signals, moves_away),
]
CLASSES = {
    fault.__name__: type(fault.__name__, (FaultLoader,), {"fault": staticmethod(fault)})
    for fault in FAULTS
} | {
    "init_exits": InitExitsLoader,
    "init_hangs": InitHangsLoader,
    "close_raises": CloseRaisesLoader,
    "close_hangs": CloseHangsLoader,
    "too_few": TooFewLoader,
    "too_many": TooManyLoader,
    "other_order": OtherOrderLoader,
    "nothing": NothingLoader,
    "no_batches": NoBatchesLoader,
}
"""Name of a fault -> its loader."""

globals().update(CLASSES)  # the registry names a class of this module
