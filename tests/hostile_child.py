"""A child that answers requests by attacking its parent. With `run`, a run that has one."""

import contextlib
import fcntl
import os
import re
import signal
import stat
import sys
import threading
import time

from keras_loader_bench.bench.child import __main__ as program
from keras_loader_bench.bench.child.answers import Answers


class UnreadableError(RuntimeError):
    def __str__(self):
        return str(1 / 0)


class Hostile:
    def __init__(self, on_batch):
        self.on_batch = on_batch

    def ping(self):
        pass

    def wait(self):
        time.sleep(600)

    def spin(self):
        while True:
            pass

    def spin_with_the_lock(self):
        re.match("(a+)+$", "a" * 60 + "b")  # takes years, in one call

    def stop(self):
        os.kill(os.getpid(), signal.SIGSTOP)

    def step_slowly(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.on_batch()
            time.sleep(0.2)
        return "done"

    def write(self, text):
        os.write(ANSWERS, text.encode())
        time.sleep(600)

    def write_endlessly(self):
        while True:
            os.write(ANSWERS, b"x" * 2**16)

    def close_answers(self):
        os.close(ANSWERS)
        time.sleep(600)

    def close_requests(self):
        for descriptor in range(3, 64):
            with contextlib.suppress(OSError):
                is_pipe = stat.S_ISFIFO(os.fstat(descriptor).st_mode)
                if is_pipe and fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
                    os.close(descriptor)
        threading.Thread(target=time.sleep, args=(600,)).start()  # so that it does not end

    def drip(self, text):
        while True:
            os.write(ANSWERS, text.encode())
            time.sleep(0.1)

    def die(self, number=signal.SIGKILL):
        os.kill(os.getpid(), number)
        time.sleep(600)

    def leave(self, how):
        reader, writer = os.pipe()
        if os.fork() == 0:
            if how == "daemon":
                os.setsid()
                if os.fork():
                    os._exit(0)
            os.write(writer, str(os.getpid()).encode())
            time.sleep(600)
        time.sleep(0.2)
        return int(os.read(reader, 20))

    def ask(self):
        return input("Which one? ")

    def raise_at_length(self):
        raise ValueError("\x1b[2J" + "x" * 100_000_000)

    def raise_without_message(self):
        raise UnreadableError

    def print_at_length(self, number):
        block = "".join(f"{each:09d}\n" for each in range(min(number, 2**20)))
        for _ in range(max(1, number // 2**20)):
            sys.stdout.write(block)
        print("the end")


def run():
    """Be a run whose child holds Python's lock."""
    from pathlib import Path

    from keras_loader_bench.bench.parent.process import Child
    from keras_loader_bench.loaders.system.guarded import Guardian

    print("begins", flush=True)
    guardian = Guardian.make(environment=os.environ)

    def start(settings, descriptors, environment):
        return guardian.start({"arguments": [sys.executable, __file__]}, descriptors)

    child = Child({}, backend="jax", log=Path(sys.argv[2]), timeout_s=60, start=start)
    child.call("leave", how="daemon")
    print("hangs", flush=True)
    child.call("spin_with_the_lock")


class KnownAnswers(Answers):
    def __init__(self, descriptor):
        global ANSWERS
        ANSWERS = descriptor
        super().__init__(descriptor)


if __name__ == "__main__":
    if sys.argv[1:2] == ["run"]:
        run()
    else:
        program.Worker, program.Answers = Hostile, KnownAnswers
        program.run_case({})
