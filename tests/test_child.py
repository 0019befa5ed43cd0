"""A child answers quickly, and every way in which it can end has a name."""

import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from conftest import PACKAGE, TESTS

from keras_loader_bench.bench.parent.case_error import CaseError
from keras_loader_bench.bench.parent.guardians import SUPPORTED, Guardians
from keras_loader_bench.bench.parent.process import Child
from keras_loader_bench.loaders.system.process_tree import kill_tree, members

CASE = {"backend": "tensorflow", "loader": "sequence", "bench": "feed",
        "batch_size": 64, "pixels": "float32", "samples": 230, "num_workers": 0}  # fmt: skip


@pytest.fixture(scope="module")
def keras_home(tmp_path_factory):
    """One for all tests here, in place of one for each: a server forks for its own environment."""
    home = tmp_path_factory.mktemp("keras_home")
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setenv("KERAS_HOME", str(home))
        yield home


@pytest.fixture(scope="module")
def servers(keras_home):
    """Makes one server, for all tests here."""
    servers = Guardians()
    yield servers
    servers.close()


needs_guardian = pytest.mark.skipif(not SUPPORTED, reason="there is no guardian here")


@pytest.fixture(params=["interpreter", pytest.param("fork", marks=needs_guardian)])
def start(source, tmp_path, servers, request):
    """Starts children, in both ways; every one is ended."""
    children = []
    way = getattr(servers, request.param)

    def start(timeout_s: float = 60.0, folder=source.folder) -> Child:
        settings = {"source": str(folder), "samples": 230, "case": CASE, "seed": 0}
        log = tmp_path / f"{len(children)}.log"
        child = Child(settings, backend="tensorflow", log=log, timeout_s=timeout_s, start=way)
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
        child.call("_rows", epoch=0)
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
    """Longer than a pipe holds."""
    child = start()
    with pytest.raises(CaseError, match="TypeError") as caught:
        child.call("ping", **{"x" * 200_000: 0})
    assert "most were cut" in caught.value.message
    assert len(caught.value.message) < 3000
    child.call("ping")


def forks(servers, source, log):
    settings = {"source": str(source.folder), "samples": 230, "case": CASE, "seed": 0}
    return Child(settings, backend="tensorflow", log=log, timeout_s=60, start=servers.fork)


@needs_guardian
def test_a_forked_child_has_the_framework_and_a_session_of_its_own(servers, source, tmp_path):
    with forks(servers, source, tmp_path / "log") as child:
        begin = time.monotonic()
        child.call("import_framework")
        assert time.monotonic() - begin < 1, "an import takes seconds"
        assert os.getsid(child.pid) == child.pid
        assert psutil.Process(child.pid).ppid() != os.getpid()
        server = psutil.Process(child.pid).parent()
    with forks(servers, source, tmp_path / "log") as child:
        child.call("ping")
        assert psutil.Process(child.pid).parent() == server, "one server for all"


@needs_guardian
@pytest.mark.long
def test_a_server_that_is_gone_is_replaced(source, tmp_path):
    servers = Guardians()
    try:
        with forks(servers, source, tmp_path / "log") as child:
            child.call("ping")
            server = psutil.Process(child.pid).parent()
            server.kill()
            server.wait(10)
            psutil.Process(child.pid).wait(10)  # it watches its parent
            with pytest.raises(CaseError, match="SIGKILL"):
                child.call("ping")
        with forks(servers, source, tmp_path / "log") as child:
            child.call("ping")
            assert psutil.Process(child.pid).parent() != server
    finally:
        servers.close()


@needs_guardian
def test_a_server_that_cannot_start_leaves_the_reason_to_an_interpreter(source, tmp_path):
    servers = Guardians()
    settings = {"source": str(source.folder), "samples": 230, "case": CASE, "seed": 0}
    with (
        Child(
            settings, backend="nonsense", log=tmp_path / "log", timeout_s=60, start=servers.fork
        ) as child,
        pytest.raises(CaseError, match="nonsense"),
    ):
        child.call("import_framework")
    servers.close()


@needs_guardian
def test_a_process_that_has_opened_a_device_does_not_become_a_server():
    script = (
        "import sys; from keras_loader_bench.bench.child import fork_server as server;"
        "server.DEVICES = ('/dev/full',); device = open('/dev/full');"
        "server.import_modules = lambda **names: None;"
        "sys.argv = ['', *sys.argv[1:], 'torch', 'sequence']; server.main()"
    )
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        ended = subprocess.run(
            [sys.executable, "-c", script, str(theirs.fileno()), str(os.getpid())],
            pass_fds=[theirs.fileno()],
            env=os.environ | {"PYTHONPATH": str(PACKAGE)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        theirs.close()
        assert ours.recv(1) == b"", "it must not say that it is ready"
    assert ended.returncode == 1
    assert "torch opened /dev/full" in ended.stderr


@needs_guardian
@pytest.mark.long
def test_a_server_ends_with_what_it_forked_when_its_run_is_killed(source, tmp_path):
    script = (
        "import sys, time; from pathlib import Path; sys.path.insert(0, sys.argv[1]);"
        "import test_child; from keras_loader_bench.bench.parent.guardians import Guardians;"
        "from keras_loader_bench.loaders.sources.image_source import ImageSource;"
        "source = ImageSource.open(Path(sys.argv[2])); servers = Guardians();"
        "child = test_child.forks(servers, source, Path(sys.argv[3])); child.call('ping');"
        "print(child.pid, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", script, str(TESTS), str(source.folder), str(tmp_path / "log")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(PACKAGE), str(TESTS)])}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as run:
        child = psutil.Process(int(run.stdout.readline()))
        left = [child, child.parent()]
        run.kill()
    _, alive = psutil.wait_procs(left, timeout=10)
    assert alive == []


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


SEMAPHORES = """
import importlib, sys, time
module, method = sys.argv[1:]
context = importlib.import_module(module).get_context(method)
kept = [context.Semaphore() for _ in range(3)]
print(*(each._semlock.name for each in kept), flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(not Path("/dev/shm").is_dir(), reason="there is no /dev/shm")
@pytest.mark.parametrize(
    ("module", "method"),
    [("multiprocessing", "spawn"), ("joblib.externals.loky.backend.context", "loky")],
)
def test_semaphores_go_with_the_processes_that_are_ended(module, method):
    """A resource tracker removes them, if it is not ended first: Python's, or joblib's own."""
    pytest.importorskip(module)
    command = [sys.executable, "-c", SEMAPHORES, module, method]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        names = process.stdout.readline().decode().split()
        files = [Path("/dev/shm") / f"sem.{name.removeprefix('/')}" for name in names]
        assert len(files) == 3
        assert all(file.exists() for file in files)
        kill_tree(process.pid)
    assert not any(file.exists() for file in files)
