"""Laws of reading `run.json`: old schemas are upgraded, files of another form are refused."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import INVENTED_RUN

from keras_loader_bench.bench.record.reader import parse_run
from keras_loader_bench.bench.report import RunFileError, read_run, write_report
from keras_loader_bench.bench.report.figures.rows import rows_from_run

SCHEMA_1 = INVENTED_RUN.with_name("invented_run_schema_1")
ROOT = Path(__file__).parents[1]


def test_a_run_of_schema_1_keeps_every_figure_and_verdict(run):
    """Both runs hold the same rounds; schema 1 knew neither workers, passes nor boundaries."""
    for result in run["cases"]:
        result.pop("epoch_boundary_s", None)
    for old, new in zip(
        rows_from_run(read_run(SCHEMA_1)), rows_from_run(parse_run(run)), strict=True
    ):
        assert (old.label, old.feed, old.train) == (new.label, new.feed, new.train)
        assert (old.memory is None) == (new.memory is None)
        if old.memory and new.memory and new.loader != "sequence":  # it has more rounds
            assert old.memory.footprint_bytes == new.memory.footprint_bytes
            assert old.memory.page_cache_bytes == new.memory.page_cache_bytes
        assert (old.identical, old.digest, old.num_workers) == (new.identical, new.digest, 0)
        assert old.verdict == ("identical" if old.identical else "different")
        assert (old.difference or "") in (new.difference or "")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist"),
        ("{", "cannot be read as JSON"),
        ("[]", "not a run of this suite"),
        ('{"schema": 99}', "Upgrade keras-loader-bench"),
        ('{"schema": 1, "status": "complete"}', "`environment`: field required"),
    ],
)
def test_a_run_that_cannot_be_read_costs_one_line_and_no_file(tmp_path, content, message):
    if content is not None:
        (tmp_path / "run.json").write_text(content, encoding="utf-8")
    with pytest.raises(RunFileError, match=message):
        read_run(tmp_path)
    before = list(tmp_path.iterdir())
    if content in (None, "{"):
        command = [sys.executable, "-m", "keras_loader_bench.bench.report", str(tmp_path)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1
    assert list(tmp_path.iterdir()) == before


def test_a_file_in_place_of_a_folder_is_no_run(tmp_path):
    """`report results/*` names `results/README.md` too."""
    (tmp_path / "README.md").touch()
    with pytest.raises(RunFileError, match=r"README.md/run.json` does not exist. Name a folder"):
        read_run(tmp_path / "README.md")


def test_a_run_is_read_compressed_too(run, tmp_path):
    packed = tmp_path / "run.json.gz"
    packed.write_bytes(gzip.compress(json.dumps(run).encode()))
    assert read_run(tmp_path) == parse_run(run)
    write_report(tmp_path)
    assert ">run.json.gz</a>" in (tmp_path / "report.html").read_text()
    (tmp_path / "run.json").write_text(json.dumps(run | {"status": "interrupted"}))
    assert read_run(tmp_path).status == "interrupted"  # a run that went on


@pytest.mark.parametrize("content", [b"{}", gzip.compress(b"{}")[:-4], gzip.compress(b"{}") + b"{"])
def test_a_compressed_run_that_is_broken_is_named(tmp_path, content):
    (tmp_path / "run.json.gz").write_bytes(content)
    with pytest.raises(RunFileError, match=r"run.json.gz` cannot be decompressed: .* Restore it"):
        read_run(tmp_path)


@pytest.mark.parametrize(
    ("part", "value", "message"),
    [
        ("case", {}, "`cases[0].case.backend`: field required"),
        (
            "known_failure",
            {"reason": 1},
            "`cases[0].known_failure.reason`: input should be a valid string, got int",
        ),
        ("audit", {"identical": 1}, "`cases[0].audit.identical`: input should be a valid boolean"),
    ],
)
def test_a_part_of_another_form_is_named(run, tmp_path, part, value, message):
    run["cases"][0][part] = value
    (tmp_path / "run.json").write_text(json.dumps(run), encoding="utf-8")
    with pytest.raises(RunFileError, match=re.escape(message)):
        read_run(tmp_path)


@pytest.mark.parametrize(
    ("field", "value"), [("name", None), ("missing_batches", ["x"]), ("max_ulps", "1")]
)
def test_a_pass_of_another_form_is_named(run, tmp_path, field, value):
    run["cases"][0]["audit"]["passes"][1][field] = value
    (tmp_path / "run.json").write_text(json.dumps(run), encoding="utf-8")
    with pytest.raises(RunFileError, match=re.escape(f"audit.passes[1].{field}")):
        read_run(tmp_path)
