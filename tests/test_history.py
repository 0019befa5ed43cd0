"""Over many runs, a change is marked where it happened, and noise is none."""

from __future__ import annotations

import gzip
import json
from copy import deepcopy
from dataclasses import asdict, replace

import numpy as np
import pytest
from test_compare import jax_like, measured, tensorflow_like
from test_report import GOLDEN

from keras_loader_bench.bench.history.__main__ import main
from keras_loader_bench.bench.history.series import CHANGED, POSSIBLE, NamedRun, read_history
from keras_loader_bench.bench.record.reader import parse_run

ROUNDS = 15
"""Of the only process of a case."""
CASE = "feed-tensorflow-numpy-w0-b64-float32-n50000"


@pytest.fixture(scope="module")
def template():
    run = json.loads((GOLDEN / "run.json").read_text())
    run["cases"] = [case for case in run["cases"] if case["id"] == CASE]
    assert len(run["cases"]) == 1
    return run


def runs(template, speeds, *, noise=jax_like, seed=0):
    """A run a day, each so many times as fast as the first."""
    chance = np.random.default_rng(seed)
    found = []
    for day, speed in enumerate(speeds, start=1):
        run = deepcopy(template)
        run["started_utc"] = f"2026-01-{day:02}T00:00:00Z"
        run["cases"][0]["rounds"] = measured(chance, noise, rounds=ROUNDS, faster=speed)["rounds"]
        found.append(NamedRun(name=f"day-{day}", run=parse_run(run)))
    return found


def changes(named):
    (series,) = read_history(named).series
    return [(point.position, point.change.verdict, point.certainty) for point in series.changes]


def test_a_change_is_marked_where_it_happened(template):
    speeds = [1.0] * 4 + [0.7] * 4
    assert changes(runs(template, speeds)) == [(4, "slower", CHANGED)]
    assert changes(runs(template, speeds[::-1])) == [(4, "faster", CHANGED)]


def test_two_changes_are_two(template):
    speeds = [1.0] * 3 + [0.6] * 3 + [1.0] * 3
    assert [each[:2] for each in changes(runs(template, speeds))] == [(3, "slower"), (6, "faster")]


def test_one_slow_day_is_no_change_and_the_last_run_is_only_a_possible_one(template):
    assert changes(runs(template, [1, 1, 1, 0.6, 1, 1, 1])) == []
    assert changes(runs(template, [1, 1, 1, 0.6])) == [(3, "slower", POSSIBLE)]


@pytest.mark.parametrize("noise", [jax_like, tensorflow_like])
def test_noise_is_no_change(template, noise):
    """Of 100 histories of ten equal runs, at most five have a change that counts."""
    found = [changes(runs(template, [1] * 10, noise=noise, seed=seed)) for seed in range(100)]
    assert sum(any(each[2] == CHANGED for each in marks) for marks in found) <= 5


def test_runs_come_in_any_order_and_unlike_ones_are_left_out(template):
    named = runs(template, [1] * 3 + [0.5] * 3)
    other = deepcopy(named[1].run)
    other.environment.cpu = "another"
    named[2] = NamedRun(name="older", run=replace(named[2].run, method=-1))
    named[1] = NamedRun(name="elsewhere", run=other)
    history = read_history(named[::-1])
    assert [each.name for each in history.runs] == ["day-1", "day-4", "day-5", "day-6"]
    assert "cpu was another" in history.left_out["elsewhere"]
    assert history.left_out["older"] == "method: was -1, is 0"
    assert [point.position for point in history.series[0].changes] == [1]


def test_what_else_changed_stands_beside_a_change(template):
    named = runs(template, [1] * 3 + [0.5] * 3)
    for each in named[3:]:
        each.run.environment.packages = {"keras": "99.0"}
    (series,) = read_history(named).series
    assert any("keras" in text for text in series.changes[0].circumstances)


def test_the_command_writes_a_page_with_the_change(template, tmp_path, capsys):
    for each in runs(template, [1] * 3 + [0.5] * 3):
        (tmp_path / each.name).mkdir()
        (tmp_path / each.name / "run.json").write_text(json.dumps(asdict(each.run)))
    packed = tmp_path / each.name / "run.json.gz"
    packed.write_bytes(gzip.compress(packed.with_suffix("").read_bytes()))
    packed.with_suffix("").unlink()
    folders = sorted(str(path) for path in tmp_path.iterdir())
    output = tmp_path / "history.html"
    assert main([*folders, "--output", str(output)]) == 0
    printed = capsys.readouterr().out
    assert "| slower |" in printed
    page = output.read_text()
    assert "<img" in page
    assert "slower" in page
    assert capsys.readouterr().err == ""
    (tmp_path / "README.md").touch()
    assert main([*folders, str(tmp_path / "README.md"), "--output", str(output)]) == 0
    assert capsys.readouterr().err == f"skipped, not a run: {tmp_path / 'README.md'}\n"
    assert output.read_text() == page
    assert main([str(tmp_path / "README.md")]) == 2
    assert "error: No run is among these. Name folders" in capsys.readouterr().err
    assert main([*folders, "--output", str(tmp_path / "no" / "x.html")]) == 2
    assert main([str(tmp_path / "nowhere")]) == 2
    assert capsys.readouterr().err.count("error: ") == 2
