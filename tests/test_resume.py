"""A run that was cut short goes on with what is missing or failed, and nowhere else."""

from __future__ import annotations

import json
import subprocess
import sys
from copy import deepcopy
from dataclasses import replace

import pytest
import suite
from conftest import PROJECT

from keras_loader_bench.bench.parent.resume import kept_records, unfinished_cases
from keras_loader_bench.bench.record.schema import RecordedFailure
from keras_loader_bench.bench.record.shared_audits import full_audits
from keras_loader_bench.bench.report.figures.endings import missing_cases

finished = suite.main_job.fixture(__name__)


@pytest.fixture
def resume(asking):
    def resume(folder, *options):
        return asking(*suite.main_job_arguments(), "--resume", str(folder), *options)

    return resume


@pytest.fixture
def cut_short(finished, tmp_path):
    """The same run, killed in its last case, and one of the others failed."""
    run = json.loads((finished.folder / "run.json").read_text())
    run |= {"status": "running", "cases": run["cases"][:-1]}
    run["cases"][0]["outcome"] = "crashed"
    (tmp_path / "run.json").write_text(json.dumps(run))
    return tmp_path


@pytest.mark.long
def test_what_is_missing_or_failed_is_run_and_the_rest_is_kept(finished, cut_short):
    before = full_audits(json.loads((cut_short / "run.json").read_text()))
    command = [sys.executable, "-m", "pytest", *suite.main_job_arguments()]
    done = subprocess.run(
        [*command, "--resume", str(cut_short), "--source", "synthetic"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    run = full_audits(json.loads((cut_short / "run.json").read_text()))
    assert [f"[{n}/2]" in done.stdout for n in (1, 2, 3)] == [True, True, False]
    assert {case["id"] for case in run["cases"]} == {case.id for case in finished.run.cases}
    assert len(run["cases"]) == len(finished.run.cases) == 6
    assert {case["outcome"] for case in run["cases"]} == {"ok"}
    assert run["cases"][:4] == before["cases"][1:]
    assert run["status"] == "complete"
    assert len(run["resumed_utc"]) == 1
    assert run["started_utc"] == before["started_utc"]
    assert run["protocol"] == before["protocol"]
    assert (cut_short / "report.html").exists()


def test_of_a_case_that_was_interrupted_only_the_other_processes_are_run(finished):
    run = deepcopy(finished.run)
    case = next(case for case in run.cases if case.case.bench == "feed")
    case.outcome = "interrupted"
    case.processes = [
        replace(case.processes[0], number=number, outcome=outcome)
        for number, outcome in ((1, "ok"), (2, "interrupted"))
    ]
    assert case.case in unfinished_cases(run)
    (kept,) = [each for each in kept_records(run) if each.id == case.id]
    assert [process.number for process in kept.processes] == [1]
    case.processes = case.processes[1:]
    assert case.id not in {each.id for each in kept_records(run)}


def test_known_wrong_batches_are_measured_in_every_process_all_the_same(finished):
    """Their case has failed as expected since its first process: the others were never run."""
    run = deepcopy(finished.run)
    run.protocol = replace(run.protocol, processes=3)
    case = next(case for case in run.cases if case.case.bench == "feed")
    case.outcome = "audit_failed"
    case.known_failure = RecordedFailure(reason="it is known", link="here")
    case.processes = [
        replace(case.processes[0], number=number, outcome=outcome)
        for number, outcome in ((1, "audit_failed"), (2, "ok"), (3, "interrupted"))
    ]
    (kept,) = [each for each in kept_records(run) if each.id == case.id]
    assert [process.number for process in kept.processes] == [1, 2]
    assert case.case in unfinished_cases(run)
    before = missing_cases(run)
    case.processes[2].outcome = "ok"
    assert case.case not in unfinished_cases(run)
    assert missing_cases(run) == before - 1
    case.known_failure = None  # then it is a failure, and its case is run again
    assert case.case in unfinished_cases(run)


def test_a_complete_run_has_nothing_left(resume, finished, tmp_path):
    before = (finished.folder / "run.json").read_text()
    (tmp_path / "run.json").write_text(before)
    done = resume(tmp_path, "--dry-run")
    assert done.returncode == 0, done.stdout
    assert "Nothing is left to measure." in done.stdout
    done = resume(tmp_path)
    assert done.returncode == 0
    assert f"Nothing is left to measure in {tmp_path}." in done.stdout
    assert (tmp_path / "run.json").read_text() == before


@pytest.mark.parametrize(
    ("part", "name", "value", "message"),
    [
        ("environment", "cpu", "another", "`cpu` was another"),
        ("environment", "packages", {"keras": "1.0"}, "`packages` was"),
        ("environment", "cpu_quota_cores", 0.5, "`cpu_quota_cores` was 0.5"),
    ],
)
def test_a_changed_environment_is_refused_and_nothing_is_lost(
    resume, cut_short, part, name, value, message
):
    path = cut_short / "run.json"
    run = json.loads(path.read_text())
    run[part][name] = value
    path.write_text(json.dumps(run))
    before = path.read_bytes()
    done = resume(cut_short, "--source", "synthetic")
    assert done.returncode == 4
    assert message in done.stdout + done.stderr
    assert "start a new one" in done.stdout + done.stderr
    assert path.read_bytes() == before


def test_another_method_is_refused(resume, cut_short):
    path = cut_short / "run.json"
    run = json.loads(path.read_text())
    path.write_text(json.dumps(run | {"method": run["method"] + 1}))
    done = resume(cut_short, "--source", "synthetic")
    assert done.returncode == 4
    assert f"measured by method {run['method'] + 1}" in done.stdout + done.stderr


def test_another_source_is_refused(resume, cut_short):
    path = cut_short / "run.json"
    run = json.loads(path.read_text())
    run["sources"][0]["images_sha256"] = "0" * 64
    path.write_text(json.dumps(run))
    done = resume(cut_short, "--source", "synthetic")
    assert done.returncode == 4
    assert "Give the `--source` and `--data-dir` of that run" in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--rounds", "5"], "remove `--rounds`."),
        (["--rounds=5", "--loaders=numpy"], "remove `--rounds`, `--loaders`."),
        (["--quick"], "remove `--quick`."),
    ],
)
def test_other_options_are_refused(resume, cut_short, options, message):
    done = resume(cut_short, *options)
    assert done.returncode == 4
    assert message in done.stdout + done.stderr


def test_a_folder_without_a_plan_is_refused(resume, tmp_path):
    done = resume(tmp_path)
    assert done.returncode == 4
    assert "does not exist" in done.stdout + done.stderr
    old = json.loads((PROJECT / "tests" / "data" / "invented_run" / "run.json").read_text())
    (tmp_path / "run.json").write_text(json.dumps(old))
    done = resume(tmp_path)
    assert done.returncode == 4
    assert "has no list of planned cases" in done.stdout + done.stderr


def test_a_dry_run_prints_the_plan_and_leaves_no_file(asking, tmp_path):
    options = ["--dry-run", *suite.TINY, "--loaders", "numpy,sequence", "-k", "feed"]
    folder = tmp_path / "run"
    done = asking(*suite.main_job_arguments(), *options, "--results-dir", str(folder))
    assert done.returncode == 0, done.stdout
    assert "[1/2] feed-" in done.stdout
    assert "2 cases, about 0:" in done.stdout
    assert not folder.exists()
