"""`keras-loader-bench` works in a folder that has a `loaders` and a `bench` of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import INVENTED_RUN, PACKAGE

SCRIPT = Path(sys.executable).with_name("keras-loader-bench")


@pytest.fixture
def foreign(tmp_path):
    """A folder of somebody else's, whose modules must not be imported."""
    (tmp_path / "loaders.py").write_text("raise RuntimeError('imported')")
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "__init__.py").write_text("raise RuntimeError('imported')")
    (tmp_path / "mine.py").write_text("numbers = [1, 2, 3]\n")
    return tmp_path


def command(folder, *arguments, started_as=(sys.executable, "-m", "keras_loader_bench.bench")):
    return subprocess.run(
        [*started_as, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(PACKAGE)},
        capture_output=True,
        text=True,
    )


def test_run_lists_the_cases(foreign):
    done = command(foreign, "run", "bench_feed.py", "--dry-run", "--loaders", "sequence")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "feed-tensorflow-sequence-w0-b64-float32-n50000" in done.stdout
    assert "train-" not in done.stdout
    assert not (foreign / "results").exists()


def test_a_value_that_begins_as_modules_do_is_none(foreign):
    options = ["--dry-run", "--loaders", "sequence", "--results-dir", "bench_today"]
    done = command(foreign, "run", "bench_feed.py", *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "train-" not in done.stdout


def test_run_without_a_module_takes_all_of_them(foreign):
    done = command(foreign, "run", "--dry-run", "--loaders", "sequence")
    assert done.returncode == 0, done.stdout + done.stderr
    for bench in ("feed", "train", "memory"):
        assert f"{bench}-tensorflow-sequence-w0-b64-float32-n50000" in done.stdout


def test_audit_finds_the_inputs_of_the_folder(foreign):
    if not SCRIPT.exists():
        pytest.skip("the package is not installed")
    done = command(foreign, "audit", "mine:absent", started_as=[str(SCRIPT)])
    assert done.returncode == 2
    assert "mine" in done.stderr
    assert "There is no module" not in done.stderr, "it is there"


@pytest.mark.parametrize("name", ["report", "compare", "history", "audit", "run"])
def test_every_command_has_help(foreign, name):
    done = command(foreign, name, "--help")
    assert done.returncode == 0, done.stderr
    assert "usage:" in done.stdout


def test_an_unknown_command_is_refused_with_a_list(foreign):
    done = command(foreign, "measure")
    assert done.returncode == 2
    assert done.stderr.startswith("There is no command `measure`.")
    assert "  compare  " in done.stderr
    assert command(foreign).stdout == command(foreign, "--help").stdout


@pytest.mark.parametrize("module", [["bench", "compare"], ["bench.compare"]])
def test_a_reader_that_has_read_enough_gets_no_traceback(foreign, module):
    """Such as `head`, which closes the pipe."""
    name, *rest = module
    with subprocess.Popen(
        [sys.executable, "-m", f"keras_loader_bench.{name}", *rest, *[str(INVENTED_RUN)] * 2],
        cwd=foreign,
        env={**os.environ, "PYTHONPATH": str(PACKAGE)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 1
