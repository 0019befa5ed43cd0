"""A budget is written as people write sizes, and is kept by the kernel or by a watchdog."""

import subprocess
import sys
import time

import pytest

from keras_loader_bench.bench.plan.sizes import parse_size
from keras_loader_bench.bench.sensors.budget import (
    RLIMIT_DATA,
    WATCHDOG,
    enforcement,
    is_refused_allocation,
)
from keras_loader_bench.bench.sensors.memory_sampler import MemorySampler
from keras_loader_bench.bench.sensors.watchdog import Watchdog
from keras_loader_bench.loaders.system.process_tree import kill_tree

MIB = 2**20
linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps RLIMIT_DATA")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1GiB", 2**30),
        ("512 MiB", 512 * MIB),
        ("1.5G", 3 * 2**29),
        ("2GB", 2 * 10**9),
        ("64k", 65_536),
        ("1000000", 10**6),
        (" 7 B ", 7),
    ],
)
def test_sizes_are_read_as_people_write_them(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GiB", "-1GiB", "0", "1 XiB", "1e9", "one"])
def test_anything_else_is_refused(text):
    with pytest.raises(ValueError, match="such as `1GiB`"):
        parse_size(text)


LIMITED = """
import sys
from keras_loader_bench.bench.sensors.budget import is_refused_allocation
from keras_loader_bench.bench.sensors.budget import limit_allocations
limit = limit_allocations(64 << 20)
assert limit["limit_bytes"] - limit["data_bytes"] == 64 << 20, limit
held = bytearray(48 << 20)
try:
    more = bytearray(48 << 20)
except MemoryError as error:
    assert is_refused_allocation(error)
else:
    sys.exit("it was allowed too much")
limit_allocations(None)
more = bytearray(48 << 20)
print("done")
"""


@linux
def test_the_kernel_refuses_what_exceeds_the_budget_and_nothing_else():
    done = subprocess.run(
        [sys.executable, "-c", LIMITED], capture_output=True, text=True, check=False
    )
    assert done.stdout == "done\n", done.stderr


def test_processes_are_watched_and_one_alone_is_limited():
    assert enforcement(processes=True) == WATCHDOG
    assert enforcement(processes=False) == (RLIMIT_DATA if sys.platform == "linux" else WATCHDOG)


class ResourceExhaustedError(Exception):
    """Named as TensorFlow's."""


def caused(error, cause):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "refused"),
    [
        (MemoryError(), True),
        (ResourceExhaustedError("OOM"), True),
        (RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 786432 bytes."), True),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), True),
        (OSError(12, "Cannot allocate memory"), True),
        (caused(ValueError("no batch"), MemoryError()), True),
        # Without a limit a user may simply have too many threads.
        (RuntimeError("can't start new thread"), False),
        (ValueError("out of memory"), False),
        (OSError(28, "No space left on device"), False),
    ],
)
def test_a_refused_allocation_is_told_from_other_errors(error, refused):
    assert is_refused_allocation(error) is refused


GROWS = """
import subprocess, sys, time
subprocess.Popen([sys.executable, "-c", '''
import time
held = []
for _ in range(300):
    held.append(bytearray(b"x" * (1 << 20)))
    time.sleep(0.02)
'''])
time.sleep(600)
"""


def test_the_watchdog_ends_a_tree_that_holds_too_much_and_proves_it():
    process = subprocess.Popen([sys.executable, "-c", GROWS], start_new_session=True)
    try:
        with MemorySampler(process.pid) as sampler:
            baseline = sampler.counted_bytes()
            dog = Watchdog(sampler, process.pid, baseline=baseline, budget_bytes=96 * MIB)
            process.wait(timeout=30)
    finally:
        kill_tree(process.pid)
    assert 96 * MIB < dog.excess_bytes < 160 * MIB, "it looks often enough"
    readings = [r.anon + r.shmem - baseline for r in sampler.readings]
    assert dog.excess_bytes in readings, "the reading that proves it is kept"


def test_the_watchdog_leaves_a_tree_alone_that_keeps_its_budget():
    code = "import os, time; m = b'x' * (64 << 20); [os.fork() for _ in range(2)]; time.sleep(600)"
    process = subprocess.Popen([sys.executable, "-c", code], start_new_session=True)
    try:
        with MemorySampler(process.pid) as sampler:
            # The counters see 64 MiB four times, a reading once.
            dog = Watchdog(sampler, process.pid, baseline=0, budget_bytes=128 * MIB)
            time.sleep(1.5)
            assert process.poll() is None
        assert dog.excess_bytes is None
    finally:
        kill_tree(process.pid)
        process.wait()
