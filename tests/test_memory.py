"""Memory is read from outside, of the whole session, and lands in the right column."""

import contextlib
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from keras_loader_bench.bench.record.process_record import MemoryRecord
from keras_loader_bench.bench.sensors import memory_metrics, memory_sampler
from keras_loader_bench.bench.sensors.memory_metrics import (
    MemorySplit,
    available_metric,
    read_pss,
    read_rss_split,
)
from keras_loader_bench.bench.sensors.memory_sampler import MemorySampler
from keras_loader_bench.loaders.system.process_tree import kill_tree, members

MIB = 2**20
SIZE = 64 * MIB
WITHIN = 0.05 * SIZE

CHILD = """
import mmap, os, signal, subprocess, sys, time
def answer(): print(flush=True); sys.stdin.readline()
answer()
{actions}
"""

FORKS = """
pids = []
for _ in range(3):
    pid = os.fork()
    if pid == 0:
        signal.pause()
    pids.append(pid)
"""

ORPHAN = """
code = "m = b'x' * (64 << 20); import time; time.sleep(600)"
parent = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {code!r}])"
subprocess.run([sys.executable, "-c", parent])
time.sleep(1)
"""


def recorded(sampler):
    record = MemoryRecord()
    sampler.add_to(record)
    return record


@contextlib.contextmanager
def doing(*actions):
    """Start a process that does one action each time it is told to; yields it and the telling."""
    body = "\nanswer()\n".join(actions) + "\nanswer()\n"
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD.format(actions=body)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )

    def go_on():
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline(), "the child has died"

    with process:
        try:
            process.stdout.readline()
            yield process, go_on
        finally:
            kill_tree(process.pid)


def split_of(sampler):
    reading = sampler.read()
    return {name: getattr(reading, name) for name in ("anon", "file", "shmem", "dev_shm")}


def growths(*actions):
    """What each action adds to the memory of a fresh process, by column."""
    with doing(*actions) as (process, go_on):
        sampler = MemorySampler(process.pid)
        before = split_of(sampler)
        for _ in actions:
            go_on()
            after = split_of(sampler)
            yield {name: after[name] - before[name] for name in after}
            before = after


def is_in(column, grown, size=SIZE):
    expected = {"anon": 0, "file": 0, "shmem": 0, "dev_shm": 0} | {column: size}
    return grown == pytest.approx(expected, abs=WITHIN)


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
    path.write_bytes(b"x" * SIZE)
    (grown,) = growths(action.replace("FILE", str(path)))
    assert is_in(column, grown), grown


def test_memory_shared_with_three_forks_counts_once():
    (private,) = growths(f"m = b'x' * (64 << 20)\n{FORKS}")
    assert is_in("anon", private), private
    shared = "m = mmap.mmap(-1, 64 << 20); [m.write(bytes(1 << 20)) for _ in range(64)]"
    (shared,) = growths(f"{shared}\n{FORKS}")
    assert is_in("shmem", shared), shared


def test_what_is_freed_is_gone_and_what_is_allocated_again_is_back():
    allocated, freed, again = growths("m = b'x' * (64 << 20)", "del m", "m = b'x' * (64 << 20)")
    assert is_in("anon", allocated), allocated
    assert is_in("anon", freed, -SIZE), freed
    assert is_in("anon", again), again


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="this system has no /dev/shm")
def test_an_object_in_dev_shm_counts_whether_it_is_mapped_or_not():
    name = f"/dev/shm/keras-loader-bench-test-{os.getpid()}"
    unmapped, mapped, removed = growths(
        f"open({name!r}, 'wb').write(bytes(64 << 20))",
        f"m = mmap.mmap(os.open({name!r}, os.O_RDWR), 64 << 20); "
        "[m[i] for i in range(0, len(m), 4096)]",
        f"m.close(); os.unlink({name!r})",
    )
    assert is_in("dev_shm", unmapped), unmapped
    assert is_in("shmem", mapped, SIZE) is False
    assert mapped["shmem"] == pytest.approx(SIZE, abs=WITHIN)
    assert mapped["dev_shm"] == -unmapped["dev_shm"], "it must not count twice"
    assert removed["shmem"] == pytest.approx(-SIZE, abs=WITHIN)


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="this system has no /dev/shm")
def test_an_object_of_another_program_is_not_counted():
    ours, theirs = (f"/dev/shm/keras-loader-bench-test-{os.getpid()}-{i}" for i in range(2))
    with doing(f"f = open({ours!r}, 'wb'); f.write(bytes(64 << 20))") as (process, go_on):
        sampler = MemorySampler(process.pid)
        before = split_of(sampler)["dev_shm"]
        try:
            with Path(theirs).open("wb") as file:
                file.write(bytes(SIZE))
                file.flush()
                assert split_of(sampler)["dev_shm"] == before
                go_on()
                assert split_of(sampler)["dev_shm"] - before == pytest.approx(SIZE, abs=WITHIN)
            assert split_of(sampler)["dev_shm"] - before == pytest.approx(SIZE, abs=WITHIN)
        finally:
            for name in (ours, theirs):
                Path(name).unlink(missing_ok=True)


def memory_of_tree(pid):
    return sum((read_pss(member.pid) for member in members(pid)), MemorySplit())


def test_a_process_whose_parent_is_gone_belongs_to_its_session():
    with doing(ORPHAN) as (process, go_on):
        before = memory_of_tree(process.pid)
        go_on()
        assert memory_of_tree(process.pid).anon - before.anon > SIZE
        orphans = [member for member in members(process.pid) if member.pid != process.pid]
        assert [orphan.ppid() for orphan in orphans] != [process.pid]
    assert not any(psutil.pid_exists(orphan.pid) for orphan in orphans), "it must be ended, too"


SPIKE = """
m = mmap.mmap(-1, 64 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
for i in range(0, len(m), 4096): m[i] = 1
time.sleep(0.03)
m.close()
"""


def test_a_spike_between_two_readings_is_seen_by_the_kernel():
    with doing(SPIKE) as (process, go_on):
        sampler = MemorySampler(process.pid)
        sampler.read()
        sampler.begin_peaks()
        go_on()
        sampler.read()
    record = recorded(sampler)
    (root,) = record.processes
    assert root.sampled_peak_rss - root.baseline_rss < WITHIN
    spike = root.kernel_peak_rss - root.sampled_peak_rss
    assert spike == pytest.approx(SIZE, abs=WITHIN)
    baseline, look, last = record.readings
    assert (look.look, last.look) == (True, False)
    assert look.anon - baseline.anon == pytest.approx(SIZE, abs=WITHIN), "even without the thread"


def test_a_peak_before_the_baseline_does_not_count():
    with doing(SPIKE, "pass") as (process, go_on):
        sampler = MemorySampler(process.pid)
        go_on()
        sampler.read()
        sampler.begin_peaks()
        go_on()
        sampler.read()
    (root,) = recorded(sampler).processes
    assert root.kernel_peak_rss - root.baseline_rss < WITHIN


def test_the_kernels_file_is_read_as_bytes(tmp_path, monkeypatch):
    text = """55d0-7ffd ---p 00000000 00:00 0   [rollup]
Rss:               20000 kB
Pss:                6000 kB
Pss_Dirty:          3000 kB
Pss_Anon:           3000 kB
Pss_File:           2000 kB
Pss_Shmem:          1000 kB
"""
    process = tmp_path / "7"
    process.mkdir()
    (process / "smaps_rollup").write_text(text)
    monkeypatch.setattr(memory_metrics, "PROC", tmp_path)
    assert read_pss(7) == MemorySplit(anon=3000 * 1024, file=2000 * 1024, shmem=1000 * 1024)


def test_a_process_that_is_gone_has_no_memory():
    process = subprocess.Popen(["true"])
    process.wait()
    assert memory_of_tree(process.pid) == MemorySplit()


def test_readings_say_when_and_in_which_phase():
    process = subprocess.Popen(["sleep", "60"])
    with MemorySampler(process.pid) as sampler:
        for phase in ("first", "second"):
            sampler.phase(phase)
            time.sleep(0.5)
            sampler.read()
    process.kill()
    process.wait()
    assert len(sampler.readings) > 4, "it reads on its own, too"
    times = [reading.t for reading in sampler.readings]
    assert times == sorted(times)
    phases = [reading.phase for reading in sampler.readings]
    assert list(dict.fromkeys(phases)) == ["start", "first", "second"]
    assert [phase.name for phase in sampler.phases] == ["first", "second"]
    assert sampler.phases[1].t - sampler.phases[0].t == pytest.approx(0.5, abs=0.3)
    assert sampler.readings[-1].anon > 0


@pytest.mark.measures
def test_reading_takes_less_than_two_percent_of_a_core():
    """Of a process that is as slow to read as one with a framework."""
    many_maps = "m = [mmap.mmap(-1, 8192, flags=mmap.MAP_PRIVATE) for _ in range(20_000)]"
    with doing(f"{many_maps}\nfor x in m: x[0] = 1") as (process, go_on):
        go_on()
        with MemorySampler(process.pid) as sampler:
            time.sleep(4)
        record = recorded(sampler)
    assert len(record.readings) > 2  # fewer where each takes longer
    assert 0 < record.sampler_cpu_seconds < 0.02 * record.sampler_seconds


@pytest.fixture
def kernel_without(monkeypatch, tmp_path):
    """Give this process a /proc with some of its files only."""

    def without(*missing):
        fake = tmp_path / "proc" / str(os.getpid())
        fake.mkdir(parents=True)
        for name in {"smaps_rollup", "status"} - set(missing):
            (fake / name).write_text(Path(f"/proc/self/{name}").read_text())
        monkeypatch.setattr(memory_metrics, "PROC", tmp_path / "proc")

    return without


def test_without_a_rollup_the_metric_is_another_one_and_says_so(kernel_without):
    assert available_metric(os.getpid()) == "pss"
    kernel_without("smaps_rollup")
    assert available_metric(os.getpid()) == "rss_split"
    split = read_rss_split(os.getpid())
    assert min(split.anon, split.file) > MIB


def test_an_older_kernel_does_not_split_pss(monkeypatch, tmp_path):
    process = tmp_path / str(os.getpid())
    process.mkdir()
    (process / "smaps_rollup").write_text("0-1 ---p 0 00:00 0 [rollup]\nPss:  6000 kB\n")
    (process / "status").write_text(Path("/proc/self/status").read_text())
    monkeypatch.setattr(memory_metrics, "PROC", tmp_path)
    assert available_metric(os.getpid()) == "rss_split"


def test_without_proc_the_operating_system_is_asked(kernel_without, monkeypatch):
    kernel_without("smaps_rollup", "status")
    assert available_metric(os.getpid()) == "uss"

    def denied(self):
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil.Process, "memory_full_info", denied)
    assert available_metric(os.getpid()) == "rss"
    monkeypatch.setattr(psutil.Process, "memory_info", denied)
    with pytest.raises(NotImplementedError, match="-k 'not memory'"):
        available_metric(os.getpid())


def forbidden(pid):
    raise PermissionError(13, "Permission denied")


def test_a_forbidden_rollup_is_not_read_again(monkeypatch):
    monkeypatch.setitem(memory_metrics.METRICS, "pss", forbidden)
    sampler = MemorySampler(os.getpid())
    assert sampler.metric == "rss_split"
    assert sampler.read().anon > MIB
    assert recorded(sampler).metric == "rss_split"


def test_a_sampler_that_cannot_go_on_says_so(monkeypatch):
    process = subprocess.Popen(["sleep", "60"])
    sampler = MemorySampler(process.pid).__enter__()
    monkeypatch.setitem(memory_metrics.METRICS, "pss", forbidden)
    time.sleep(1)
    process.kill()
    process.wait()
    with pytest.raises(PermissionError):
        sampler.__exit__(None, None, None)


def test_a_reading_that_does_not_end_is_an_error(monkeypatch):
    """Of the thread and of who asks; the kernel may wait for a process that waits itself."""
    monkeypatch.setattr(memory_sampler, "MOST_WAITING_S", 0.2)
    sampler = MemorySampler(os.getpid())
    stuck = threading.Event()
    monkeypatch.setattr(memory_sampler, "read_process", lambda metric, pid: stuck.wait(30))
    with pytest.raises(TimeoutError):
        sampler.read()
    with pytest.raises(TimeoutError):
        sampler.phase("the thread that reads still holds the lock")
    stuck.set()
