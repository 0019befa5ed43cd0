"""Ranks that somebody else starts: a Ray cluster, torchrun, srun or mpirun."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
import suite
from test_audit_command import command, start

from keras_loader_bench.loaders.audit.own_rank import RankError, own_rank
from keras_loader_bench.loaders.registry import missing_package
from keras_loader_bench.loaders.system import launcher as module
from keras_loader_bench.loaders.system.launcher import LOCAL, Launcher, LauncherError, launcher

needs_ray = pytest.mark.skipif(missing_package(("ray",)) is not None, reason="Ray is not installed")
needs_jax = pytest.mark.skipif(missing_package(("jax",)) is not None, reason="JAX is not installed")


def test_local_ranks_are_started_as_they_are():
    assert LOCAL.arguments(1, ["python", "-V"]) == ["python", "-V"]
    with launcher("local") as found:
        assert found is LOCAL


def test_another_launcher_stands_before_the_program_and_knows_rank_0():
    elsewhere = Launcher(prefix=("srun", "-n1"))
    assert elsewhere.arguments(0, ["python"]) == ["srun", "-n1", "here", "python"]
    assert elsewhere.arguments(3, ["python"]) == ["srun", "-n1", "spread", "python"]


def test_a_launcher_that_does_not_start_says_why(monkeypatch):
    monkeypatch.setattr(module, "ON_RAY", "no.such.module")
    with (
        pytest.raises(LauncherError, match=r"Ray finds no cluster and starts none: .*no.such"),
        launcher("ray"),
    ):
        pass


@pytest.mark.parametrize(
    ("environment", "found"),
    [
        ({"RANK": "1", "WORLD_SIZE": "2"}, (1, 2)),
        ({"RANK": "2", "WORLD_SIZE": "2"}, None),
        ({"RANK": "0", "WORLD_SIZE": "1"}, None),
        ({"RANK": "one", "WORLD_SIZE": "2"}, None),
        ({}, None),
    ],
)
def test_a_rank_is_what_the_variables_say(environment, found):
    if found:
        assert own_rank(environment) == found
        return
    with pytest.raises(RankError, match=r"processes with RANK and WORLD_SIZE, got RANK="):
        own_rank(environment)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--launcher", "env"), "--launcher env needs --gather FOLDER"),
        (("--gather", "all"), "--launcher env needs --gather FOLDER"),
        (("--launcher", "env", "--gather", "all", "--ranks", "2"), "leave out --ranks"),
        (("--launcher", "ray"), "--launcher ray starts ranks; add --ranks N"),
        (("--launcher", "slurm"), "invalid choice"),
    ],
)
def test_launchers_say_what_they_need(options, message):
    status, _, errors = command("rank_inputs:shared_out", *options)
    assert status == 2
    assert message in errors


def test_a_process_that_is_no_rank_is_refused(tmp_path):
    status, _, errors = command(
        "rank_inputs:shared_out", "--launcher", "env", "--gather", str(tmp_path)
    )
    assert status == 2
    assert "got RANK=None, WORLD_SIZE=None; torchrun sets them" in " ".join(errors.split())


def own_ranks(name, folder, ranks=2):
    """What torchrun does: start all with their variables; rank 0 first."""
    started = [
        start(
            f"rank_inputs:{name}",
            *("--launcher", "env", "--gather", str(folder), "--keras-backend", "jax"),
            RANK=str(rank),
            WORLD_SIZE=str(ranks),
        )
        for rank in range(ranks)
    ]
    return [(*each.communicate(timeout=240), each.returncode) for each in started]


@needs_jax
@pytest.mark.long
def test_ranks_that_others_started_meet_in_a_folder(tmp_path):
    (text, errors, status), (other, _, other_status) = own_ranks("shared_out", tmp_path / "all")
    assert (status, other_status) == (0, 0), text + errors
    assert text.count("every sample once") == 3
    assert other == "this rank got to its end; rank 0 reports\n"
    (_, errors, status), _ = own_ranks("shared_out", tmp_path / "all")
    assert status == 2
    assert "is of an earlier audit; delete it, or name another" in " ".join(errors.split())


@needs_jax
@pytest.mark.long
def test_a_rank_that_others_started_and_that_fails_is_named(tmp_path):
    began = time.monotonic()
    (text, _, status), (_, _, other_status) = own_ranks("fails_on_rank_1", tmp_path / "all")
    assert (status, other_status) == (1, 1)
    assert "Rank 1: " in text
    assert "no such disk" in text
    assert time.monotonic() - began < 120


def left_of_ray():
    """Processes of a cluster, and those of programs on it."""
    names = ("raylet", "gcs_server", "on_ray")
    return [
        " ".join(process.info["cmdline"] or [])[:200]
        for process in psutil.process_iter(["cmdline"])
        if any(name in " ".join(process.info["cmdline"] or []) for name in names)
    ]


PROGRAM = """
import os, signal, sys
print(os.environ["OF_THIS_RUN"], os.getcwd(), flush=True)
for line in sys.stdin:
    print("got", line.strip(), flush=True)
print("in the log", file=sys.stderr)
if "die" in sys.argv:
    os.kill(os.getpid(), signal.SIGKILL)
sys.exit(7)
"""


@needs_ray
@pytest.mark.long
def test_a_program_on_ray_runs_as_if_it_ran_here(tmp_path):
    with launcher("ray") as found:
        environment = {**os.environ, **found.environment, "OF_THIS_RUN": "yes"}
        lines = "".join(f"line {number}\n" for number in range(200))

        def on_ray(*arguments):
            return subprocess.run(
                found.arguments(1, [sys.executable, "-c", PROGRAM, *arguments]),
                cwd=tmp_path,
                env=environment,
                input=lines,
                capture_output=True,
                text=True,
                timeout=120,
            )

        done = on_ray()
        first, *others = done.stdout.splitlines()
        assert first == f"yes {tmp_path}"
        assert others == [f"got line {number}" for number in range(200)], "in order"
        assert "in the log" in done.stderr
        assert done.returncode == 7
        assert on_ray("die").returncode == -signal.SIGKILL
        # What stays behind where this process is ended: nothing.
        sleeper = [sys.executable, "-c", "import time; print(1, flush=True); time.sleep(4321)"]
        process = subprocess.Popen(
            found.arguments(1, sleeper), env=environment, stdout=subprocess.PIPE
        )
        assert process.stdout.readline()
        process.kill()
        process.wait()
        process.stdout.close()
        deadline = time.monotonic() + 30
        while any("4321" in each for each in sleepers()) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert not sleepers()
    assert not left_of_ray()


def sleepers():
    return [
        line
        for process in psutil.process_iter(["cmdline"])
        if "4321" in (line := " ".join(process.info["cmdline"] or []))
    ]


@needs_ray
@needs_jax
@pytest.mark.long
def test_ranks_on_ray_are_audited():
    options = ("--ranks", "2", "--keras-backend", "jax", "--launcher", "ray")
    status, text, errors = command("rank_inputs:shared_out", *options)
    assert status == 0, text + errors
    assert text.count("every sample once") == 3
    assert not left_of_ray()


on_ray = suite.Job(
    __name__,
    *("--ranks", "2", "--loaders", "sequence", "--samples", "640", "--launcher", "ray"),
    *("-k", "feed or torch and (train or memory)", "--keras-backends", "jax,tensorflow,torch"),
    needs=("jax", "torch", "ray"),
).fixture()


@pytest.mark.long
def test_ranks_on_ray_are_measured_and_train_together(on_ray):
    found = {(each.case.bench, each.case.backend): each for each in on_ray.run.cases}
    memory = found.pop(("memory", "torch"))
    assert memory.outcome == "skipped"
    assert "cannot be read from here" in memory.error.message
    feeds = {("feed", backend) for backend in ("jax", "tensorflow", "torch")}
    assert found.keys() == feeds | {("train", "torch")}
    for case in found.values():
        assert case.outcome == "ok", case.error
        assert case.audit.identical
        assert [each.rank for each in case.processes[0].ranks] == [0, 1]
    assert found["train", "torch"].processes[0].same_weights is True
    assert on_ray.run.protocol.launcher == "ray"
    assert "Ray started the ranks: rank 0 on this machine" in on_ray.report
    assert not on_ray.left
    assert not left_of_ray()
