"""Laws of what is read of the machine beside a measurement."""

from __future__ import annotations

import threading
import time

import pytest

from keras_loader_bench.bench.sensors.machine import cpu_quota_cores, cpu_seconds, memory_kills


@pytest.mark.parametrize(
    ("groups", "files", "quota"),
    [
        ("0::/a/b\n", {"a/cpu.max": "150000 100000\n", "a/b/cpu.max": "max 100000\n"}, 1.5),
        ("0::/a\n", {"a/cpu.max": "400000 100000\n", "cpu.max": "50000 100000\n"}, 0.5),
        ("0::/\n", {"cpu.max": "max 100000\n"}, None),
        ("0::/\n", {}, None),
        (
            "3:cpu,cpuacct:/a\n1:memory:/z\n",
            {
                "cpu,cpuacct/a/cpu.cfs_quota_us": "200000\n",
                "cpu,cpuacct/a/cpu.cfs_period_us": "100000\n",
                "memory/z/cpu.max": "1 100000\n",
            },
            2.0,
        ),
        ("1:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
    ],
    ids=["a group above", "the root", "no quota", "no files", "version 1", "version 1, no quota"],
)
def test_the_smallest_quota_of_all_groups_counts(tmp_path, groups, files, quota):
    (tmp_path / "own").write_text(groups)
    for name, text in files.items():
        path = tmp_path / "cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert cpu_quota_cores(tmp_path / "cgroup", tmp_path / "own") == quota


@pytest.mark.parametrize(
    ("groups", "file", "text"),
    [
        ("0::/a\n", "a/memory.events", "low 0\noom 5\noom_kill 3\n"),
        ("4:memory:/a\n", "memory/a/memory.oom_control", "under_oom 0\noom_kill 3\n"),
        ("0::/a\n", "memory.events", "oom_kill 3\n"),
    ],
    ids=["version 2", "version 1", "of the group above"],
)
def test_kills_for_want_of_memory_are_counted(tmp_path, groups, file, text):
    (tmp_path / "own").write_text(groups)
    path = tmp_path / "cgroup" / file
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert memory_kills(tmp_path / "cgroup", tmp_path / "own") == 3
    assert memory_kills(tmp_path, tmp_path / "missing") is None


def test_without_control_groups_there_is_no_quota(tmp_path):
    assert cpu_quota_cores(tmp_path, tmp_path / "missing") is None


def test_a_thread_that_works_is_seen():
    before = cpu_seconds()

    def work():
        while time.thread_time() < 0.3:
            pass

    worker = threading.Thread(target=work)
    worker.start()
    worker.join()
    used = cpu_seconds()["busy"] - before["busy"]
    assert used >= 0.2  # in the kernel's ticks
