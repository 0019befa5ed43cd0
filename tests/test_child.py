"""A child answers quickly, and every way in which it can end has a name."""

import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from keras_loader_bench.bench.parent.process import CaseError, Child
from keras_loader_bench.loaders.system.process_tree import kill_tree, members

CASE = {"backend": "tensorflow", "loader": "sequence", "bench": "feed",
        "batch_size": 64, "pixels": "float32", "samples": 230, "num_workers": 0}  # fmt: skip


@pytest.fixture
def start(source, tmp_path):
    """Starts children; every one is ended."""
    children = []

    def start(timeout_s: float = 60.0, folder=source.folder) -> Child:
        settings = {"source": str(folder), "samples": 230, "case": CASE, "seed": 0}
        log = tmp_path / f"{len(children)}.log"
        child = Child(settings, backend="tensorflow", log=log, timeout_s=timeout_s)
        children.append(child)
        return child.__enter__()

    yield start
    for child in children:
        child.__exit__(None, None, None)


def test_a_request_costs_less_than_two_milliseconds(start):
    child = start()
    child.call("ping")
    seconds = []
    for _ in range(200):
        begin = time.perf_counter()
        child.call("ping")
        seconds.append(time.perf_counter() - begin)
    assert statistics.median(seconds) < 0.002


def test_an_exception_comes_with_its_traceback_and_the_child_lives_on(start):
    child = start()
    with pytest.raises(CaseError, match="TypeError") as caught:
        child.call("calibrate", unknown=1)
    assert caught.value.outcome == "failed"
    assert "Traceback" in caught.value.traceback
    child.call("ping")


def test_an_answer_that_is_no_json_is_an_error_and_the_child_lives_on(start):
    child = start()
    with pytest.raises(CaseError, match="not JSON serializable"):
        child.call("_options")
    assert child.call("ping") is None


def test_a_kill_is_named_by_its_signal(start):
    child = start()
    child.call("ping")
    os.kill(child.pid, signal.SIGKILL)
    with pytest.raises(CaseError, match="SIGKILL during `ping`") as caught:
        child.call("ping")
    assert (caught.value.outcome, caught.value.signal_name) == ("crashed", "SIGKILL")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux chooses whom it ends")
def test_the_kernel_ends_a_child_before_anybody_else_when_memory_runs_out(start):
    child = start()
    child.call("ping")
    assert Path(f"/proc/{child.pid}/oom_score_adj").read_text() == "1000\n"


def test_silence_is_a_timeout(start):
    child = start(timeout_s=2.0)
    child.call("ping")
    os.kill(child.pid, signal.SIGSTOP)
    with pytest.raises(CaseError, match="no answer to `ping` within the 2 s") as caught:
        child.call("ping")
    assert caught.value.outcome == "timeout"


def test_a_child_that_cannot_start_leaves_its_reason_in_the_log(start, tmp_path):
    child = start(folder=tmp_path / "nothing")
    with pytest.raises(CaseError, match="exited with 1") as caught:
        child.call("ping")
    assert caught.value.outcome == "crashed"
    assert "SourceError" in child.log()


def test_long_requests_and_answers_block_nobody(start):
    """Longer than a pipe holds, in both directions."""
    child = start()
    with pytest.raises(CaseError, match="TypeError") as caught:
        child.call("ping", **{"x" * 200_000: 0})
    assert len(caught.value.message) > 200_000
    child.call("ping")


def test_leaving_the_block_ends_the_child(source, tmp_path):
    settings = {"source": str(source.folder), "samples": 230, "case": CASE, "seed": 0}
    with Child(settings, backend="tensorflow", log=tmp_path / "log", timeout_s=60) as child:
        child.call("ping")
        pid = child.pid
        assert psutil.pid_exists(pid)
    assert not psutil.pid_exists(pid)


def test_kill_tree_reaches_orphans_of_the_group():
    """A grandchild whose parent is gone is no descendant any more, but is in group and session."""
    script = "sh -c 'sleep 60 & echo $!'; sleep 60"
    leader = subprocess.Popen(
        ["sh", "-c", script], stdout=subprocess.PIPE, start_new_session=True, text=True
    )
    with leader:
        orphan = psutil.Process(int(leader.stdout.readline()))
        while orphan.ppid() != 1:
            time.sleep(0.01)
        assert orphan in members(leader.pid)
        kill_tree(leader.pid)
    psutil.wait_procs([orphan], timeout=5)
    assert not orphan.is_running()
