"""Tests that run side by side wait for each other, and for nothing else."""

import os
import re
import subprocess
import sys
from contextlib import ExitStack

import parallel
import psutil
import pytest
from conftest import TESTS

pytestmark = pytest.mark.skipif(parallel.fcntl is None, reason="nothing can be locked here")

FORKS = """
import os, sys, time
from pathlib import Path
import parallel

parallel.SIDE_BY_SIDE = True
parallel.RUNNING, parallel.NEXT = Path(sys.argv[1]), Path(sys.argv[2])
with parallel.turn(alone=sys.argv[3] == "alone"):
    child = os.fork()
    if not child:
        os.close(1)  # or who reads it would wait too
        time.sleep(60)
        os._exit(0)
print(child)
"""


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Files to lock that nobody else knows."""
    found = tmp_path / "running", tmp_path / "next"
    for name, path in zip(("RUNNING", "NEXT"), found, strict=True):
        path.touch()
        monkeypatch.setattr(parallel, name, path)
    monkeypatch.setattr(parallel, "SIDE_BY_SIDE", True)
    return found


@pytest.mark.parametrize("kind", ["alone", "beside others"])
def test_a_fork_that_outlives_its_test_keeps_nobody_waiting(files, kind):
    done = subprocess.run(
        [sys.executable, "-c", FORKS, *map(str, files), kind],
        cwd=TESTS,
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    fork = psutil.Process(int(done.stdout))
    try:
        with parallel.turn(alone=True, seconds=0):
            assert fork.status() == psutil.STATUS_SLEEPING
    finally:
        fork.kill()


def test_who_holds_a_lock_for_ever_is_named(files):
    holder = "import fcntl, sys, time; f = open(sys.argv[1]); fcntl.flock(f, fcntl.LOCK_SH); "
    holder += "print(flush=True); time.sleep(60)"
    process = subprocess.Popen(
        [sys.executable, "-c", holder, str(files[0])], stdout=subprocess.PIPE, text=True
    )
    try:
        process.stdout.readline()
        with parallel.turn(alone=False, seconds=0):
            pass
        message = re.escape(f"`{files[0]}` has been locked for 0.05 s.") + f".*{process.pid} .*"
        with (
            pytest.raises(TimeoutError, match=message) as caught,
            parallel.turn(alone=True, seconds=0.05),
        ):
            pytest.fail("it was not alone")
        assert f"{os.getpid()} (" not in str(caught.value)
    finally:
        process.kill()
        process.communicate()


def test_tests_run_beside_each_other_or_alone(files):
    with ExitStack() as others:
        for _ in range(2):
            others.enter_context(parallel.turn(alone=False, seconds=0))
        with pytest.raises(TimeoutError), parallel.turn(alone=True, seconds=0):
            pytest.fail("it was not alone")
    with (
        parallel.turn(alone=True, seconds=0),
        pytest.raises(TimeoutError),
        parallel.turn(alone=False, seconds=0),
    ):
        pytest.fail("the other one was not alone")
