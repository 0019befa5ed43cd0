"""Laws of what `bench.report` concludes from an invented run: rows, ranking, findings."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import pytest

from bench.report import terminal_table
from bench.report.findings import findings
from bench.report.rows import rows_from_run

GOLDEN = Path(__file__).parent / "data" / "invented_run"


@pytest.fixture
def run():
    return json.loads((GOLDEN / "run.json").read_text(encoding="utf-8"))


def select(run, bench, loader):
    return next(
        result
        for result in run["cases"]
        if (result["case"]["bench"], result["case"]["loader"]) == (bench, loader)
    )


def speed_up(result, factor):
    for measured in result["rounds"]:
        measured["seconds"] /= factor
        measured["ceiling_seconds"] /= factor


def says(run):
    return "\n".join(findings(rows_from_run(run)))


def test_wrong_batches_count_even_where_the_case_says_ok(run):
    select(run, "train", "tf_data")["audit"] |= {"identical": False, "first_difference": None}
    row = rows_from_run(run)[2]
    assert (row.train.outcome, row.identical) == ("audit_failed", False)
    assert "`tf_data` feeds" not in says(run)
    assert "audit failed: train-tensorflow-tf_data" in terminal_table(run)


def test_a_loader_that_was_never_audited_is_not_ranked(run):
    for bench in ("feed", "train", "memory"):
        select(run, bench, "tf_data")["audit"] = None
    assert "tf_data" not in says(run)


def test_loaders_that_disagree_on_the_same_batches_all_fail(run):
    for result in run["cases"]:
        if result["case"]["loader"] == "numpy":
            result["audit"] |= {"digest": "ff" * 32}
    assert {row.identical for row in rows_from_run(run)} == {False}
    assert "different digests" in says(run)


def test_overlapping_loaders_are_not_ranked(run):
    tied = select(run, "feed", "sequence")
    tied["rounds"] = copy.deepcopy(select(run, "feed", "tf_data")["rounds"])
    speed_up(tied, 1.01)
    text = says(run)
    assert "feeds fastest beyond doubt: `sequence`" in text
    assert "AU overlap. Slower than `sequence`: `numpy`" in text
    assert "feeds fastest:" not in text


def test_too_few_rounds_are_not_ranked(run):
    for result in run["cases"]:
        del result["rounds"][5:]
    assert "Too few rounds to rank `numpy`" in says(run)
    assert "fastest" not in says(run)


def test_what_limits_training_depends_on_the_utilization(run):
    assert "The model, not the loader, limits training here" in says(run)
    for measured in select(run, "train", "numpy")["rounds"]:
        measured["seconds"] *= 2
    assert "limits training" not in says(run)
    assert "The model waits for `numpy` (0.53 of the time)" in says(run)


def test_the_model_is_the_limit_only_if_every_loader_could_feed_it_many_times_over(run):
    for measured in select(run, "feed", "numpy")["rounds"]:
        measured["seconds"] *= 2
    assert "limits training" not in says(run)


def test_a_slower_process_is_not_a_slower_loader(run):
    """Rounds and their ceilings are all slower: the machine was, so nothing is said of loaders."""
    assert "`tf_data` feeds fastest" in says(run)
    for name in ("sequence", "numpy"):
        utilizations = select(run, "feed", "tf_data")["rounds"]
        for measured, best in zip(select(run, "feed", name)["rounds"], utilizations, strict=True):
            measured["ceiling_seconds"] = (
                measured["seconds"] * best["ceiling_seconds"] / best["seconds"]
            )
    assert "No loader feeds fastest beyond doubt" in says(run)


def test_only_loaders_with_the_same_options_are_compared(run):
    for result in run["cases"]:
        if result["case"]["loader"] != "tf_data":
            result["case"] |= {"backend": "jax", "batch_size": 256}
    text = says(run)
    assert "`tf_data` feeds 75.8k samples/s, with none" in text
    assert "**jax, batch size 256**: **Wrong batches" in text
    assert "`sequence` feeds fastest" in text


def test_the_footprint_counts_private_and_shared_memory_and_keeps_what_shrank(run):
    memory = select(run, "memory", "numpy")["memory"]
    memory["baseline"] = {"anon": 100, "shmem": 10, "file": 1000}
    memory["readings"] = [
        {"t": 0.0, "phase": "ceiling", "anon": 9999, "shmem": 9999, "file": 9999},
        {"t": 1.0, "phase": "loader", "anon": 150, "shmem": 5, "file": 900},
        {"t": 2.0, "phase": "epoch 1", "anon": 120, "shmem": 50, "file": 950},
    ]
    measured = rows_from_run(run)[0].memory
    assert (measured.anon_bytes, measured.shmem_bytes) == (20, 40)
    assert (measured.footprint_bytes, measured.page_cache_bytes) == (60, -50)
