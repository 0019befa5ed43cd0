"""`bench/gpu_check.sh`, rehearsed on the CPU: what it leaves, also when it is stopped."""

import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import psutil
import pytest
import suite
from conftest import PROJECT

from keras_loader_bench.bench.record.shared_audits import full_audits
from keras_loader_bench.bench.report import write_report

pytestmark = pytest.mark.long

SCRIPT = "bench/gpu_check.sh"
BACKEND = suite.QUICKEST
PARTS = ("train", "audit", "feed", "images", "bfloat16", "small")


def start(folder, *options, **environment):
    return subprocess.Popen(
        [SCRIPT, str(folder), *options],
        cwd=PROJECT,
        env={**os.environ, "PYTHON": sys.executable, "GPU_CHECK_BACKENDS": BACKEND} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def unpack(folder, target):
    """The files of the archive, and those beside it."""
    content = (folder / "gpu_check.tar.gz").read_bytes()
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        archive.extractall(target, filter="data")
    return {path.name for path in folder.iterdir()}


def test_a_rehearsal_leaves_one_whole_archive(tmp_path):
    """Of every part one case: that it works, not what it finds."""
    start_time = time.monotonic()
    process = start(tmp_path / "gpu", "--rehearse")
    output, _ = process.communicate()
    assert process.returncode == 0, output
    assert time.monotonic() - start_time < 240, "it takes less than two minutes on two quiet cores"
    assert unpack(tmp_path / "gpu", tmp_path / "all") == {"gpu_check.tar.gz", "gpu_check.log"}
    assert (tmp_path / "gpu" / "gpu_check.log").read_text() == output
    for part in PARTS:
        folder = tmp_path / "all" / f"{part}-{BACKEND}"
        run = full_audits(json.loads((folder / "run.json").read_text()))
        assert run["status"] == "complete"
        assert run["cases"], part
        for case in run["cases"]:
            assert case["outcome"] == "ok", part
            whole = case["audit"]["passes"][-1]
            assert whole["compared"] == "fingerprint"
            assert whole["expected_samples"] == case["case"]["samples"]
        assert [path.name for path in folder.iterdir()] == ["run.json"]
    write_report(tmp_path / "all" / f"train-{BACKEND}")
    assert '"cores"' in (tmp_path / "all" / "environment.txt").read_text()
    assert "numpy copy" in (tmp_path / "all" / "copies.log").read_text()
    control = (tmp_path / "all" / f"control-{BACKEND}.log").read_text()
    assert "passed" in control
    assert "failed" not in control


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_check_that_is_stopped_keeps_what_it_has(how, tmp_path):
    process = start(tmp_path / "gpu", "--rehearse", TMPDIR=str(tmp_path))
    for line in process.stdout:
        if line.startswith("== copies: at most"):
            time.sleep(1)
            process.send_signal(how)
            break
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert unpack(tmp_path / "gpu", tmp_path / "all") == {"gpu_check.tar.gz", "gpu_check.log"}
    assert {path.name for path in (tmp_path / "all").iterdir()} >= {"environment.txt", "copies.log"}
    assert "train" not in output, "no part begins after that"
    assert not [p for p in psutil.process_iter() if tmp_path in folders_of(p)], "none is left"
    assert not list(tmp_path.glob("tmp.*")), "its working folder is gone"


def folders_of(process):
    """Where a process keeps temporary files: by that those of a check are known."""
    try:
        return [Path(process.environ().get("TMPDIR", "/"))]
    except psutil.Error:
        return []


def test_parts_that_no_time_is_left_for_are_named(tmp_path):
    process = start(tmp_path / "gpu", "--rehearse", GPU_CHECK_SECONDS="16")
    output, _ = process.communicate()
    assert process.returncode == 1
    assert "no time is left" in output
    unpack(tmp_path / "gpu", tmp_path / "all")
    assert (tmp_path / "all" / "environment.txt").exists()


def test_one_part_can_be_run_alone(tmp_path):
    process = start(tmp_path / "gpu", "--rehearse", "--only", "^cop")
    output, _ = process.communicate()
    assert process.returncode == 0, output
    assert [line.split()[1] for line in output.splitlines() if "at most" in line] == ["copies:"]


def test_a_probe_that_fails_says_why(tmp_path):
    """A backend that is installed and broken is not one that is missing."""
    (tmp_path / "broken_backend.py").write_text("raise OSError('libcuda.so.1 is not there')")
    process = start(
        tmp_path / "gpu", PYTHONPATH=str(tmp_path), GPU_CHECK_BACKENDS="broken_backend absent"
    )
    output, _ = process.communicate()
    assert process.returncode == 1
    assert "absent: not installed" in output
    assert "broken_backend: " in output
    assert "no backend sees an accelerator: install a GPU build" in output
    assert "broken_backend: not installed" not in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "usage:"),
        (("--rounds", "3"), "There is no option `--rounds`. usage:"),
        (("one", "two"), "`one` and `two` are two folders. usage:"),
        (("one", "--wheels"), "`--wheels` needs a folder. usage:"),
        (("one", "--only"), "`--only` needs a regular expression. usage:"),
        (("one", "--wheels", "tests"), "`tests` has no wheels. usage:"),
    ],
)
def test_it_says_what_it_needs(arguments, message):
    done = subprocess.run([SCRIPT, *arguments], cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 2
    assert message in done.stderr


def test_it_does_not_overwrite_an_older_archive(tmp_path):
    (tmp_path / "gpu_check.tar.gz").touch()
    done = subprocess.run([SCRIPT, str(tmp_path)], cwd=PROJECT, capture_output=True, text=True)
    assert done.returncode == 2
    assert "exists already" in done.stderr
