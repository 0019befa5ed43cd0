"""A temporary folder lives as long as its process, and no longer than until the next one."""

import os
import signal
import subprocess
import sys
import time

import pytest
from conftest import PACKAGE

from keras_loader_bench.bench.record.drafts import draft_folder, remove_abandoned_drafts
from keras_loader_bench.loaders.sources.cache import cache_folder
from keras_loader_bench.loaders.sources.known_sources import prepare_source
from keras_loader_bench.loaders.system import owned_folder as module
from keras_loader_bench.loaders.system.owned_folder import owned_folder, remove_abandoned

needs_locks = pytest.mark.skipif(module.fcntl is None, reason="no folder can be locked here")

OWNER = """
import sys, time
from pathlib import Path
from keras_loader_bench.loaders.system.owned_folder import owned_folder
with owned_folder(Path(sys.argv[1]), ".draft-") as folder:
    (folder / "file").write_text("half")
    print(folder, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def owner(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(PACKAGE)}
    command = [sys.executable, "-c", OWNER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as owner:
        assert owner.stdout.readline().startswith(str(tmp_path))
        yield owner
        owner.kill()


@needs_locks
def test_it_is_deleted_when_its_owner_has_been_killed_and_not_before(tmp_path, owner):
    with owned_folder(tmp_path, ".draft-"):
        assert len(list(tmp_path.iterdir())) == 2, "the other one is in use"
    remove_abandoned(tmp_path, ".draft-")
    assert len(list(tmp_path.iterdir())) == 1
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    assert len(list(tmp_path.iterdir())) == 1, "nobody has deleted it yet"
    remove_abandoned(tmp_path, ".other-")
    assert len(list(tmp_path.iterdir())) == 1
    with owned_folder(tmp_path, ".draft-") as own:
        assert list(tmp_path.iterdir()) == [own]
    assert list(tmp_path.iterdir()) == []


def test_it_is_deleted_after_an_exception(tmp_path):
    def interrupted():
        with owned_folder(tmp_path, ".draft-") as folder:
            (folder / "deep").mkdir()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_can_be_locked_age_decides(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "fcntl", None)
    (tmp_path / ".draft-1").mkdir()
    remove_abandoned(tmp_path, ".draft-")
    assert len(list(tmp_path.iterdir())) == 1, "it may be in use"
    old = time.time() - 2 * 3600
    os.utime(tmp_path / ".draft-1", (old, old))
    remove_abandoned(tmp_path, ".draft-")
    assert list(tmp_path.iterdir()) == []


@needs_locks
def test_a_source_that_is_there_already_still_cleans_the_cache():
    prepare_source("synthetic", num_samples=10)
    before = set(cache_folder().iterdir())
    left = cache_folder() / ".tmp-left"
    left.mkdir()
    (left / "images.npy").write_bytes(bytes(1000))
    prepare_source("synthetic", num_samples=10)
    assert set(cache_folder().iterdir()) == before


def test_processes_that_make_folders_side_by_side_keep_theirs(tmp_path):
    script = (
        OWNER.replace("time.sleep(60)", "pass")
        .replace("with owned", "for _ in range(200):\n  with owned")
        .replace("\n    ", "\n      ")
        + "      assert (folder / 'file').exists()\n"
    )
    environment = os.environ | {"PYTHONPATH": str(PACKAGE)}
    command = [sys.executable, "-c", script, str(tmp_path)]
    every = [
        subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment) for _ in range(3)
    ]
    assert [each.wait() for each in every] == [0, 0, 0]
    assert list(tmp_path.iterdir()) == []


@needs_locks
def test_a_new_run_deletes_the_drafts_of_reports_that_killed_runs_have_left(tmp_path):
    for name in ("run", "no-run"):
        (tmp_path / name / ".report-left").mkdir(parents=True)
    (tmp_path / "run" / "run.json").write_text("{}")
    with draft_folder(tmp_path / "run") as in_use:
        (tmp_path / "run" / ".report-left").mkdir(exist_ok=True)
        remove_abandoned_drafts(tmp_path)
        assert [each.name for each in (tmp_path / "run").glob(".report-*")] == [in_use.name]
    assert (tmp_path / "no-run" / ".report-left").exists(), "that is not ours"
