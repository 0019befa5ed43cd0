"""Where a folder cannot be written to, one sentence says so, and nothing that was there is lost."""

import contextlib
import io
import json
import re
import resource
import shutil
import subprocess
import sys
from collections import Counter

import pytest
import suite
from conftest import INVENTED_RUN, PROJECT

from keras_loader_bench.bench.parent.case_run import CaseRun
from keras_loader_bench.bench.parent.progress import Progress
from keras_loader_bench.bench.plan.case import Case
from keras_loader_bench.bench.plan.protocol import Protocol
from keras_loader_bench.bench.record.drafts import WriteError, write_whole
from keras_loader_bench.bench.record.schema import Environment
from keras_loader_bench.bench.record.writer import RunFile
from keras_loader_bench.bench.report import read_run, write_report
from keras_loader_bench.bench.report.__main__ import main as report
from keras_loader_bench.bench.report.excerpts.markers import refresh
from keras_loader_bench.loaders.sources.known_sources import prepare_source


@contextlib.contextmanager
def no_file_larger_than(size):
    """As on a full disk, writes fail."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


FULL = r"cannot be written to: File too large\. Free space on its disk\.$"


@pytest.mark.long
def test_a_disk_that_is_full_at_any_write_of_a_report_keeps_all_files(tmp_path, capsys):
    shutil.copy(INVENTED_RUN / "run.json", tmp_path)
    (tmp_path / "report.md").write_text("older")
    before = content(tmp_path)
    for size in (100, 10_000, 60_000, 200_000):  # a table, a plot, a plot, the page
        with no_file_larger_than(size), pytest.raises(WriteError, match=FULL):
            write_report(tmp_path)
        assert content(tmp_path) == before
    with no_file_larger_than(100):
        assert report([str(tmp_path)]) == 2
    assert re.fullmatch(rf"error: `{tmp_path}` {FULL[:-1]}\n", capsys.readouterr().err)


def run_file(folder):
    return RunFile(folder, environment=Environment(), protocol=Protocol(), plan=(), loaders={})


def test_a_run_whose_figures_cannot_be_written_keeps_the_older_ones(tmp_path):
    file = run_file(tmp_path / "run")
    before = content(tmp_path / "run")
    with no_file_larger_than(100), pytest.raises(WriteError, match=FULL):
        file.finish("complete")
    assert content(tmp_path / "run") == before
    assert read_run(tmp_path / "run").status == "running"


def test_a_run_that_cannot_keep_its_figures_ends(tmp_path, source):
    sizes = {"batch_size": 64, "pixels": "uint8", "samples": 230}
    case = Case(bench="feed", backend="torch", loader="numpy", steps_per_execution=2, **sizes)
    assert case.unsupported, "nothing is measured"
    run = CaseRun(
        case,
        protocol=Protocol(),
        source=source,
        results=run_file(tmp_path),
        progress=Progress(Counter(feed=1), Protocol(), stream=io.StringIO()),
    )
    with no_file_larger_than(100), pytest.raises(pytest.exit.Exception, match=FULL):
        run.measure_process(1)


def test_a_page_is_not_lost_where_it_cannot_be_refreshed(tmp_path):
    page = tmp_path / "README.md"
    page.write_text(f"{'A text. ' * 20}<!-- bench:setup --><!-- /bench -->\n")
    shutil.copy(INVENTED_RUN / "run.json", tmp_path)
    before = content(tmp_path)
    with no_file_larger_than(100), pytest.raises(WriteError, match=FULL):
        refresh(page, tmp_path)
    assert content(tmp_path) == before


KILLED = """
import os, pathlib, sys
from keras_loader_bench.bench.record.drafts import write_whole
pathlib.Path.replace = lambda *_: os.kill(os.getpid(), 9)
write_whole(pathlib.Path(sys.argv[1]), "new")
"""


def test_what_is_left_of_a_file_whose_writer_was_killed_the_next_one_deletes(tmp_path):
    path = tmp_path / "run.json"
    path.write_text("old")
    subprocess.run([sys.executable, "-c", KILLED, str(path)], cwd=PROJECT)
    assert len(list(tmp_path.iterdir())) == 2
    assert path.read_text() == "old"
    write_whole(path, "newer")
    assert content(tmp_path) == {"run.json": b"newer"}


def test_a_link_is_written_through(tmp_path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to("real")
    write_whole(tmp_path / "link", "new")
    assert (tmp_path / "real").read_text() == "new"
    assert (tmp_path / "link").is_symlink()


SKIPPED = ("--loaders", "numpy", "--keras-backends", "torch", "--steps-per-execution", "2")
"""Keras cannot do that: nothing needs to be measured."""


def test_a_results_folder_that_cannot_be_made_is_one_line(asking):
    arguments = (*suite.main_job_arguments(), *suite.TINY, *SKIPPED, "-k", "feed")
    done = asking(*arguments, "--results-dir", "/proc/nowhere/run")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "ERROR: `/proc/nowhere/run` cannot be written to: No such file" in done.stderr
    assert "name another folder" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr


def test_a_run_whose_report_cannot_be_written_says_so_and_fails(tmp_path):
    prepare_source("synthetic", num_samples=512)  # or there would be no room for it
    arguments = (*suite.main_job_arguments(), *suite.TINY, *SKIPPED, "-k", "feed")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments, "--results-dir", str(tmp_path / "run")],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000)),
    )
    output = done.stdout + done.stderr
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, output
    assert f"`{tmp_path / 'run'}` cannot be written to: File too large." in output
    assert f"`keras-loader-bench report {tmp_path / 'run'}` makes the report." in output
    assert "Traceback" not in output
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["run.json"]
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "complete"
