"""Memory is read from outside, of the whole tree, and lands in the right column."""

import subprocess
import sys
import time

import pytest

from bench.memory import MemorySampler, PssSplit, parse_smaps_rollup, read_tree

MIB = 2**20

CHILD = """
import mmap, os, sys
def answer(): print(flush=True); sys.stdin.readline()
answer()
{action}
answer()
"""


def growth(action: str) -> PssSplit:
    """What an action adds to the PSS of a fresh process that does it."""
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD.format(action=action)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        process.stdout.readline()
        before = read_tree(process.pid)
        process.stdin.write("\n")
        process.stdin.flush()
        process.stdout.readline()
        after = read_tree(process.pid)
        process.communicate("\n")
    return PssSplit(
        anon=after.anon - before.anon,
        file=after.file - before.file,
        shmem=after.shmem - before.shmem,
    )


@pytest.mark.parametrize(
    ("action", "column"),
    [
        ("m = b'x' * (64 << 20)", "anon"),
        ("m = mmap.mmap(-1, 64 << 20); [m.write(bytes(1 << 20)) for _ in range(64)]", "shmem"),
        (
            "m = mmap.mmap(os.open('FILE', os.O_RDONLY), 0, prot=mmap.PROT_READ); "
            "[m[i] for i in range(0, len(m), 4096)]",
            "file",
        ),
    ],
)
def test_64_mib_land_in_their_column(action, column, tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"x" * (64 * MIB))
    grown = growth(action.replace("FILE", str(path)))
    for name in ("anon", "file", "shmem"):
        expected = 64 * MIB if name == column else 0
        assert getattr(grown, name) == pytest.approx(expected, abs=0.05 * 64 * MIB), name


def test_shared_memory_of_forks_counts_once():
    action = """
m = b'x' * (64 << 20)
pids = []
for _ in range(3):
    pid = os.fork()
    if pid == 0:
        import signal; signal.pause()
    pids.append(pid)
import atexit, signal
atexit.register(lambda: [os.kill(pid, signal.SIGKILL) for pid in pids])
"""
    assert growth(action).anon == pytest.approx(64 * MIB, rel=0.1)


def test_the_kernels_file_is_read_as_bytes():
    text = """55d0-7ffd ---p 00000000 00:00 0   [rollup]
Rss:               20000 kB
Pss:                6000 kB
Pss_Dirty:          3000 kB
Pss_Anon:           3000 kB
Pss_File:           2000 kB
Pss_Shmem:          1000 kB
"""
    assert parse_smaps_rollup(text) == PssSplit(
        anon=3000 * 1024, file=2000 * 1024, shmem=1000 * 1024
    )


def test_a_process_that_is_gone_has_no_memory():
    process = subprocess.Popen(["true"])
    process.wait()
    assert read_tree(process.pid) == PssSplit()


def test_readings_say_when_and_in_which_phase():
    process = subprocess.Popen(["sleep", "60"])
    with MemorySampler(process.pid) as sampler:
        for phase in ("first", "second"):
            sampler.phase(phase)
            time.sleep(0.3)
            sampler.read()
    process.kill()
    process.wait()
    assert len(sampler.readings) > 10, "it reads on its own, too"
    times = [reading["t"] for reading in sampler.readings]
    assert times == sorted(times)
    phases = [reading["phase"] for reading in sampler.readings]
    assert list(dict.fromkeys(phases)) == ["start", "first", "second"]
    assert set(sampler.readings[-1]) == {"t", "phase", "anon", "file", "shmem"}
    assert sampler.readings[-1]["anon"] > 0
