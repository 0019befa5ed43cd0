"""Ranks that somebody else starts: a Ray cluster, torchrun, srun or mpirun."""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import suite
from conftest import PROJECT
from test_audit_command import command, start

from keras_loader_bench.bench.parent.launching import check_ranks, own_rank_of
from keras_loader_bench.bench.plan.case import Case
from keras_loader_bench.bench.record.reader import read_run
from keras_loader_bench.loaders.audit.ranks import free_port
from keras_loader_bench.loaders.launchers import (
    LOCAL,
    Launcher,
    LauncherError,
    OwnRank,
    RankError,
    launcher,
)
from keras_loader_bench.loaders.registry import missing_package
from keras_loader_bench.loaders.system.process_tree import kill_tree

needs_ray = pytest.mark.skipif(missing_package(("ray",)) is not None, reason="Ray is not installed")
needs_torch = pytest.mark.skipif(missing_package(("torch",)) is not None, reason="no torch")
needs_jax = pytest.mark.skipif(missing_package(("jax",)) is not None, reason="JAX is not installed")


def test_local_ranks_are_started_as_they_are():
    assert LOCAL.arguments(1, ["python", "-V"]) == ["python", "-V"]
    with launcher("local") as found:
        assert found is LOCAL


def test_another_launcher_stands_before_the_program_and_knows_rank_0():
    elsewhere = Launcher(prefix=("srun", "-n1"))
    assert elsewhere.arguments(0, ["python"]) == ["srun", "-n1", "0", "python"]
    assert elsewhere.arguments(3, ["python"]) == ["srun", "-n1", "3", "python"]


def test_a_launcher_that_does_not_start_says_why(monkeypatch):
    monkeypatch.setattr("keras_loader_bench.loaders.launchers.launch.ON_RAY", "no.such.module")
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
def test_a_rank_is_what_the_variables_say(tmp_path, environment, found):
    if found:
        own = OwnRank.of(environment, tmp_path)
        assert (own.rank, own.ranks) == found
        return
    with pytest.raises(RankError, match=r"processes with RANK and WORLD_SIZE, got RANK="):
        OwnRank.of(environment, tmp_path)


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
    assert other == "rank 1 of 2: rank 0 has the result\n"
    assert not list((tmp_path / "all").iterdir()), "the folder can be used again"


@needs_jax
@pytest.mark.long
def test_a_rank_that_others_started_and_that_fails_is_named(tmp_path):
    began = time.monotonic()
    (text, _, status), (_, _, other_status) = own_ranks("fails_on_rank_1", tmp_path / "all")
    assert (status, other_status) == (1, 0), "torchrun would end rank 0 if another failed"
    assert "Rank 1: " in text
    assert "no such disk" in text
    assert time.monotonic() - began < 120


def left_of_ray():
    """Processes of a cluster, and those of programs on it."""
    names = ("raylet", "gcs_server", "launchers.on_ray")
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


def runs_as_if_here(found, folder):
    """Try a launcher's rank 1: streams, folder, variables, exit code, signals, end."""
    environment = {**os.environ, **found.environment, "OF_THIS_RUN": "yes"}
    lines = "".join(f"line {number}\n" for number in range(200))

    def elsewhere(*arguments):
        return subprocess.run(
            found.arguments(1, [sys.executable, "-c", PROGRAM, *arguments]),
            cwd=folder,
            env=environment,
            input=lines,
            capture_output=True,
            text=True,
            timeout=120,
        )

    done = elsewhere()
    first, *others = done.stdout.splitlines()
    assert first == f"yes {folder}"
    assert others == [f"got line {number}" for number in range(200)], "in order"
    assert "in the log" in done.stderr
    assert done.returncode == 7
    assert elsewhere("die").returncode == -signal.SIGKILL
    # What stays behind where this process is ended: nothing.
    sleeper = [sys.executable, "-c", "import time; print(1, flush=True); time.sleep(4321)"]
    process = subprocess.Popen(found.arguments(1, sleeper), env=environment, stdout=subprocess.PIPE)
    assert process.stdout.readline()
    process.kill()
    process.wait()
    process.stdout.close()
    deadline = time.monotonic() + 30
    while any("4321" in each for each in sleepers()) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert not sleepers()


def sleepers():
    return [
        line
        for process in psutil.process_iter(["cmdline"])
        if "4321" in (line := " ".join(process.info["cmdline"] or []))
    ]


@needs_ray
@pytest.mark.long
def test_a_program_on_ray_runs_as_if_it_ran_here(tmp_path):
    with launcher("ray") as found:
        runs_as_if_here(found, tmp_path)
    assert not left_of_ray()


NODE = """
import os, psutil, sys
above = psutil.Process().parents()
print(*(each.pid for each in above if each.name() == "raylet"), os.environ["CUDA_VISIBLE_DEVICES"])
print(flush=True)
sys.stdin.read()
"""


@pytest.fixture
def two_nodes(monkeypatch):
    """A cluster of two nodes with a GPU each, as far as Ray is told."""
    ray = Path(sys.executable).with_name("ray")
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))
    address = f"127.0.0.1:{free_port()}"
    folder = tempfile.mkdtemp(prefix="ray")  # pytest's are too long for its sockets
    each = ("--num-cpus", "1", "--num-gpus", "1", "--disable-usage-stats", "--block")
    head = ("--head", "--port", address.rpartition(":")[2], "--temp-dir", folder)
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        for options in (head, ("--address", address)):
            command = [str(ray), "start", *options, *each]
            node = stack.enter_context(
                subprocess.Popen(
                    command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
                )
            )
            stack.callback(kill_tree, node.pid)
            for line in node.stdout:
                if "Ray runtime started" in line:
                    break
        monkeypatch.setenv("RAY_ADDRESS", address)
        yield


@needs_ray
@pytest.mark.long
def test_ranks_are_spread_over_the_nodes_of_a_cluster_with_a_gpu_each(two_nodes):
    with launcher("ray") as found, ExitStack() as stack:
        environment = {**os.environ, **found.environment}
        environment.pop("CUDA_VISIBLE_DEVICES", None)
        programs = [
            stack.enter_context(
                subprocess.Popen(
                    found.arguments(rank, [sys.executable, "-c", NODE]),
                    env=environment,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                )
            )
            for rank in (0, 1)
        ]
        (node, card), (other_node, other_card) = (p.stdout.readline().split() for p in programs)
        assert node != other_node
        assert (card, other_card) == ("0", "0"), "the first one of each node"
        for program in programs:
            program.stdin.close()


SERVES = """
import os, sys
from pathlib import Path
from keras_loader_bench.loaders.launchers import OwnRank
sys.exit(3 if OwnRank.of(os.environ, Path(sys.argv[1])).serve() else 4)
"""


def other_rank(folder, rank=1, ranks=2, **variables):
    """Rank 1, which somebody else has started."""
    given = {"RANK": str(rank), "WORLD_SIZE": str(ranks), **variables}
    arguments = [sys.executable, "-c", SERVES, str(folder)]
    return subprocess.Popen(arguments, env={**os.environ, **given}, stderr=subprocess.PIPE)


def rank_0(folder, ranks=2):
    return OwnRank.of({**os.environ, "RANK": "0", "WORLD_SIZE": str(ranks)}, folder)


@pytest.mark.parametrize("size", [{"LOCAL_WORLD_SIZE": "2"}, {}], ids=["one machine", "unknown"])
def test_a_program_on_a_rank_of_others_runs_as_if_it_ran_here(tmp_path, monkeypatch, size):
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    for name, value in size.items():
        monkeypatch.setenv(name, value)
    met, work = tmp_path / "met", tmp_path / "work"
    work.mkdir()
    with other_rank(met) as other:
        with launcher("env", rank_0(met)) as found:
            assert found.host == "127.0.0.1"
            runs_as_if_here(found, work)
        assert other.wait(30) == 3
    assert not list(met.iterdir()), "the folder can be used again"


VARIABLES = """
import json, os
print(json.dumps({name: os.environ.get(name) for name in ("RANK", "LOCAL_RANK", "A", "B", "C")}))
"""


def test_a_program_has_the_variables_of_its_rank_and_what_changed_on_rank_0(tmp_path, monkeypatch):
    monkeypatch.setenv("A", "of rank 0")
    monkeypatch.setenv("B", "of all")
    with (
        other_rank(tmp_path, LOCAL_RANK="0", A="of rank 1", C="of rank 1 alone") as other,
        launcher("env", rank_0(tmp_path)) as found,
    ):
        wanted = {**os.environ, **found.environment, "B": "changed", "RANK": "5", "LOCAL_RANK": "5"}
        program = found.arguments(1, [sys.executable, "-c", VARIABLES])
        done = subprocess.run(program, env=wanted, capture_output=True, text=True, timeout=60)
        assert json.loads(done.stdout) == {
            **{"RANK": "1", "LOCAL_RANK": "0"},
            **{"A": "of rank 1", "B": "changed", "C": "of rank 1 alone"},
        }
        here = found.arguments(0, [sys.executable, "-c", VARIABLES])
        done = subprocess.run(here, env=wanted, capture_output=True, text=True, timeout=60)
        assert json.loads(done.stdout)["A"] == "of rank 0"
    assert other.returncode == 3


def test_a_rank_that_rank_0_leaves_ends_and_says_so(tmp_path):
    with other_rank(tmp_path) as other:
        with pytest.raises(KeyError), launcher("env", rank_0(tmp_path)):
            raise KeyError
        assert other.wait(30) == 4


def test_ranks_that_do_not_meet_say_why(tmp_path, monkeypatch):
    monkeypatch.setattr("keras_loader_bench.loaders.launchers.own_rank.OTHERS_MAY_TAKE_S", 0.3)
    with (
        pytest.raises(RankError, match=r"rank 1 of 2 has left no .*rank-1\.json.* for 0\.3 s; all"),
        launcher("env", rank_0(tmp_path)),
    ):
        pass
    left = {"address": ["127.0.0.1", free_port()], "key": "00"}
    (tmp_path / "rank-1.json").write_text(json.dumps(left))
    with (
        pytest.raises(RankError, match=r"does not answer at 127\.0\.0\.1:\d+: .*; delete the file"),
        launcher("env", rank_0(tmp_path)),
    ):
        pass
    with other_rank(tmp_path) as other:
        assert b"is of an earlier run; delete it, or name another" in other.stderr.read()


def test_a_rank_answers_only_to_who_has_read_its_file(tmp_path):
    with other_rank(tmp_path) as other:
        file = tmp_path / "rank-1.json"
        while not file.exists():
            time.sleep(0.02)
        assert file.stat().st_mode & 0o777 == 0o600
        _, port = json.loads(file.read_text())["address"]
        with pytest.raises(AuthenticationError):
            Client(("127.0.0.1", port), authkey=b"guessed")
        with launcher("env", rank_0(tmp_path)):
            pass
        assert other.wait(30) == 3


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
    assert "All ranks share this machine's" in on_ray.report
    assert "Ray started them." in on_ray.report
    assert not on_ray.left
    assert not left_of_ray()


def refusal(launcher, gather, monkeypatch, **variables):
    """What the options of a run are refused for, if anything."""
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    config = SimpleNamespace(getoption={"gather": gather}.get)
    cases = {
        "feed": [
            Case(
                bench="feed",
                loader="numpy",
                backend="jax",
                batch_size=8,
                samples=64,
                pixels="float32",
                ranks=3,
            )
        ]
    }
    try:
        check_ranks(own_rank_of(config, launcher), cases)
    except ValueError as error:
        return str(error)
    return None


def test_a_run_whose_ranks_are_started_from_outside_says_what_it_needs(tmp_path, monkeypatch):
    of_three = {"RANK": "2", "WORLD_SIZE": "3"}
    assert refusal("local", None, monkeypatch) is None
    assert refusal("env", tmp_path, monkeypatch, **of_three) is None
    assert "needs `--gather FOLDER`" in refusal("env", None, monkeypatch, **of_three)
    assert "needs `--gather FOLDER`" in refusal("ray", tmp_path, monkeypatch, **of_three)
    assert "got RANK=None, WORLD_SIZE=None" in refusal("env", tmp_path, monkeypatch)
    of_two = of_three | {"RANK": "1", "WORLD_SIZE": "2"}
    assert "and WORLD_SIZE is 2" in refusal("env", tmp_path, monkeypatch, **of_two)


def torchrun(folder, *options):
    """The command of a run that torchrun starts on two ranks."""
    return [
        *(sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", "pytest"),
        *("-p", "no:cacheprovider", "bench/bench_ranks.py", "--benchmark-only", *suite.TINY),
        *("--launcher", "env", "--gather", str(folder / "met")),
        *("--results-dir", str(folder / "run"), *options),
    ]


@needs_jax
@needs_torch
@pytest.mark.long
def test_torchrun_starts_ranks_that_are_measured_and_train_together(tmp_path):
    command = torchrun(
        tmp_path,
        *("--ranks", "2", "--loaders", "sequence", "--keras-backends", "jax,torch"),
        *("-k", "jax and feed or torch and train"),
    )
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "Rank 1 of 2: rank 0 has the report." in done.stdout + done.stderr
    run = read_run(tmp_path / "run")
    for case in run.cases:
        assert (case.outcome, case.audit.identical) == ("ok", True), case.error
        assert [each.rank for each in case.processes[0].ranks] == [0, 1]
    found = {case.case.bench: case for case in run.cases}
    assert found.keys() == {"feed", "train"}
    assert found["train"].processes[0].same_weights is True
    report = (tmp_path / "run" / "report.md").read_text()
    assert "They were started from outside." in report
    assert not list((tmp_path / "met").iterdir())


@needs_jax
@needs_torch
@pytest.mark.long
def test_a_run_of_torchrun_that_is_interrupted_leaves_nothing_behind(tmp_path):
    command = torchrun(tmp_path, "--ranks", "2", "--loaders", "sequence", "-k", "feed")
    command += ["--keras-backends", "jax"]
    process = subprocess.Popen(
        command,
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    for line in process.stdout:
        if b": start" in line:
            break
    time.sleep(3)
    everyone = [process, *psutil.Process(process.pid).children(recursive=True)]
    assert len(everyone) > 4
    os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=60)
    _, left = psutil.wait_procs(everyone[1:], timeout=20)
    assert not left, [each.cmdline() for each in left if each.is_running()]
    assert not list((tmp_path / "met").iterdir())
