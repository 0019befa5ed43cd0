"""Whatever a child does with its pipes, its processes and its time, its case ends and says why."""

import os
import subprocess
import sys
import time

import psutil
import pytest
import suite
from conftest import PACKAGE, TESTS

from keras_loader_bench.bench.parent import guardians, process
from keras_loader_bench.bench.parent.case_error import CaseError
from keras_loader_bench.bench.parent.guardians import SUPPORTED
from keras_loader_bench.bench.parent.process import Child
from keras_loader_bench.loaders.system import guarded
from keras_loader_bench.loaders.system.bounded_log import KEPT_BYTES, MAX_BYTES
from keras_loader_bench.loaders.system.guarded import Guardian

pytestmark = pytest.mark.skipif(not SUPPORTED, reason="there is no guardian here")

SILENCE_S = 4.0
LATE_S = 6.0
"""On a machine that other tests keep busy."""

CHILD = [sys.executable, str(TESTS / "hostile_child.py")]


@pytest.fixture
def guardian():
    guardian = Guardian.make(environment={**os.environ, "PYTHONPATH": str(PACKAGE)})
    yield guardian
    guardian.close()


@pytest.fixture
def child(guardian, tmp_path):
    def start(settings, descriptors, environment):
        return guardian.start({"arguments": CHILD}, descriptors)

    with Child(
        {},
        backend="jax",
        log=tmp_path / "log",
        timeout_s=60,
        silence_s=SILENCE_S,
        start=start,
    ) as child:
        child.call("ping")
        yield child


def failure_of(child, method, **args):
    begin = time.monotonic()
    with pytest.raises(CaseError) as caught:
        child.call(method, **args)
    return caught.value, time.monotonic() - begin


@pytest.mark.parametrize(
    ("method", "doing"),
    [
        ("wait", "waits and takes no CPU time"),
        ("spin", "is busy, and its other threads run"),
        ("spin_with_the_lock", "is busy and does not let go of Python's lock"),
        ("stop", "is stopped (SIGSTOP)"),
    ],
)
@pytest.mark.long
def test_a_child_that_hangs_is_named_by_what_it_does(child, method, doing):
    error, seconds = failure_of(child, method)
    assert (error.outcome, error.kind) == ("timeout", "Hang")
    assert doing in error.message
    assert SILENCE_S <= seconds < SILENCE_S + LATE_S
    assert ("has the stacks" in error.message) == (method != "stop")
    assert (f"in {method}" in child.log()) == (method != "stop")


@pytest.mark.long
def test_steps_are_signs_of_life(child):
    assert child.call("step_slowly", seconds=1.5 * SILENCE_S) == "done"


@pytest.mark.parametrize(
    "stray", ["nonsense", "[1]", '{"ok": 1}', '{"id": 1, "ok": 2}', '{"steps": 1, "ok": 2}']
)
def test_what_is_no_answer_is_named(child, stray):
    error, seconds = failure_of(child, "write", text=f"{stray}\n")
    assert (error.outcome, error.kind) == ("failed", "StrayOutput")
    assert seconds < 5


def test_an_endless_answer_is_cut_off(child):
    error, seconds = failure_of(child, "write_endlessly")
    assert error.kind == "StrayOutput"
    assert seconds < 5


def test_a_closed_pipe_is_named(child):
    error, seconds = failure_of(child, "close_answers")
    assert (error.outcome, error.kind) == ("crashed", "ClosedPipe")
    assert seconds < 10


@pytest.mark.parametrize("how", ["fork", "daemon"])
def test_a_death_is_noticed_though_others_hold_the_pipe(child, how):
    other = psutil.Process(child.call("leave", how=how))
    error, seconds = failure_of(child, "die")
    assert (error.kind, error.signal_name) == ("ChildKilled", "SIGKILL")
    assert seconds < 3
    _, alive = psutil.wait_procs([other], timeout=2)
    assert not alive, "the guardian ends what a case leaves behind"


def test_a_kill_for_want_of_memory_is_named(child, monkeypatch):
    monkeypatch.setattr(process, "memory_kills", lambda: 10**6)
    error, _ = failure_of(child, "die")
    assert error.kind == "OutOfMemory"
    assert "memory ran out" in error.message


def test_a_daemon_ends_with_its_case(guardian, tmp_path):
    def start(settings, descriptors, environment):
        return guardian.start({"arguments": CHILD}, descriptors)

    with Child({}, backend="jax", log=tmp_path / "log", timeout_s=60, start=start) as child:
        left = [psutil.Process(child.call("leave", how=how)) for how in ("fork", "daemon")]
    _, alive = psutil.wait_procs(left, timeout=2)
    assert not alive


def test_nothing_can_be_read_from_standard_input(child):
    error, _ = failure_of(child, "ask")
    assert error.kind == "EOFError"
    child.call("ping")


def test_a_message_of_any_length_is_cut_and_its_control_characters_are_shown(child):
    error, seconds = failure_of(child, "raise_at_length")
    assert len(error.message) < 3000
    assert "most were cut" in error.message
    assert "\x1b" not in error.message
    assert seconds < 5
    error, _ = failure_of(child, "raise_without_message")
    assert error.message == "its message cannot be read: ZeroDivisionError"


def test_a_log_keeps_its_beginning_and_its_end(child, tmp_path):
    child.call("print_at_length", number=5 * MAX_BYTES // 10)
    text = child.log()
    assert text.startswith("000000000\n")
    assert text.endswith("the end\n")
    assert "bytes cut]" in text
    assert (tmp_path / "log").stat().st_size <= MAX_BYTES
    child.call("print_at_length", number=10)
    assert child.log().endswith("000000009\nthe end\n")
    assert len(child.log()) < 2 * KEPT_BYTES + 100
    assert child.log(20).endswith("the end\n")


@pytest.mark.parametrize("after_s", [0.0, 0.05, 0.3, 1.0])
def test_nothing_outlives_a_run_that_is_killed(after_s, tmp_path):
    """At any moment, though the child holds Python's lock and has a daemon."""
    command = [sys.executable, str(TESTS / "hostile_child.py"), "run", str(tmp_path / "log")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(PACKAGE), str(TESTS)])}
    environment["KERAS_HOME"] = str(tmp_path)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as run:
        assert run.stdout.readline() == "begins\n"
        time.sleep(after_s)
        if after_s == 1.0:
            assert run.stdout.readline() == "hangs\n"
        run.kill()
    deadline = time.monotonic() + 2
    while left := suite.processes_of(tmp_path):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


@pytest.mark.parametrize(("text", "kind"), [('{"steps": 0}\n', "Hang"), ("x", "StrayOutput")])
@pytest.mark.long
def test_what_comes_without_end_is_no_sign_of_life(child, text, kind):
    error, seconds = failure_of(child, "drip", text=text)
    assert error.kind == kind
    assert seconds < SILENCE_S + LATE_S


def test_a_closed_pipe_for_requests_is_named(child):
    child.call("close_requests")
    error, seconds = failure_of(child, "ping")
    assert error.kind == "ClosedPipe"
    assert seconds < 10


def test_a_signal_without_a_name_has_its_number(child):
    error, _ = failure_of(child, "die", number=40)
    assert error.signal_name == "signal 40"


@pytest.fixture
def without_guardians(monkeypatch):
    """As on macOS."""
    monkeypatch.setattr(process, "_pidfd", lambda pid: None)
    monkeypatch.setattr(guardians, "SUPPORTED", False)
    monkeypatch.setattr(guarded, "SUPPORTED", False)


@pytest.mark.parametrize(
    ("method", "kind"),
    [("die", "ChildKilled"), ("close_answers", "ClosedPipe"), ("wait", "Hang")],
)
@pytest.mark.usefixtures("without_guardians")
@pytest.mark.long
def test_without_guardians_children_end_the_same(tmp_path, method, kind):
    def start(settings, descriptors, environment):
        requests, answers, log = descriptors
        return subprocess.Popen(
            CHILD,
            stdin=requests,
            stdout=answers,
            stderr=log,
            env=environment,
            start_new_session=True,
        )

    with Child(
        {},
        backend="jax",
        log=tmp_path / "log",
        timeout_s=60,
        silence_s=SILENCE_S,
        environment=os.environ | {"PYTHONPATH": str(PACKAGE)},
        start=start,
    ) as child:
        child.call("ping")
        error, _ = failure_of(child, method)
        assert error.kind == kind
        pid = child.pid
    assert not psutil.pid_exists(pid)


@pytest.mark.usefixtures("without_guardians")
def test_without_guardians_a_program_is_a_child_of_this_process(tmp_path):
    code = "import os, time; print(os.getppid(), flush=True); time.sleep(600)"
    with (tmp_path / "out").open("w+b") as output, (tmp_path / "log").open("w+b") as log:
        with guarded.started(
            [sys.executable, "-c", code],
            output=output.fileno(),
            log=log.fileno(),
            environment=os.environ,
        ) as process:
            assert not process.ended(1.0)
            pid = process.pid
        assert not psutil.pid_exists(pid)
    assert (tmp_path / "out").read_text() == f"{os.getpid()}\n"
