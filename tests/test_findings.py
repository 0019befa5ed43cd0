"""Laws of what `bench.report` concludes from an invented run: rows, ranking, findings."""

from __future__ import annotations

import copy
import re

import pytest

from keras_loader_bench.bench.record.reader import parse_run
from keras_loader_bench.bench.report import terminal_table
from keras_loader_bench.bench.report.figures.rows import rows_from_run
from keras_loader_bench.bench.report.ranking import best_loaders
from keras_loader_bench.bench.report.sections.findings import findings

LOADERS = ("numpy", "sequence", "tf_data")
COUNTS = ("batches", "expected_batches", "samples", "expected_samples")


def on_backend(run, backend):
    return [result for result in run["cases"] if result["case"]["backend"] == backend]


def row_of(run, backend, loader, workers=0):
    wanted = (backend, loader, workers)
    rows = rows_from_run(parse_run(run))
    return next(row for row in rows if (row.backend, row.loader, row.num_workers) == wanted)


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
    return "\n".join(findings(rows_from_run(parse_run(run))))


@pytest.mark.parametrize(
    "wrong",
    [
        {"identical": False, "first_difference": None},
        {"verdict": "other_values"},
        {"passes": [{"name": "predict", "verdict": "other_order"} | dict.fromkeys(COUNTS, 1)]},
    ],
    ids=["identical", "verdict", "passes"],
)
def test_wrong_batches_count_even_where_the_case_says_ok(run, wrong):
    select(run, "train", "tf_data")["audit"] |= wrong
    row = rows_from_run(parse_run(run))[2]
    assert (row.train.outcome, row.identical) == ("audit_failed", False)
    assert "`tf_data` feeds" not in says(run)
    assert "audit failed: train-tensorflow-tf_data" in terminal_table(parse_run(run))


def test_a_loader_that_was_never_audited_is_not_ranked(run):
    for bench in ("feed", "train", "memory"):
        select(run, bench, "tf_data")["audit"] = None
    assert "tf_data" not in says(run)


def test_loaders_that_disagree_on_the_same_batches_all_fail(run):
    for result in run["cases"]:
        if result["case"]["loader"] == "numpy":
            result["audit"] |= {"digest": "ff" * 32}
    assert {row.identical for row in rows_from_run(parse_run(run))} == {False}
    assert "different digests" in says(run)


def test_overlapping_loaders_are_not_ranked(run):
    tied = select(run, "feed", "sequence")
    tied["rounds"] = copy.deepcopy(select(run, "feed", "tf_data")["rounds"])
    speed_up(tied, 1.01)
    text = says(run)
    assert "No clear winner in feed rate: `sequence`" in text
    assert "is not proven faster, by rate and by AU, than `tf_data`" in text
    assert "It is faster than `numpy`" in text
    assert "feeds fastest:" not in text


def test_the_fastest_is_compared_with_each_other_loader_itself(run):
    """`numpy` is behind `tf_data` whatever a third loader's AU is, which is high and uncertain."""
    for number, measured in enumerate(select(run, "feed", "sequence")["rounds"]):
        measured["ceiling_seconds"] = measured["seconds"] * (0.1 if number % 2 else 3.0)
    rates = {name: [r["seconds"] for r in select(run, "feed", name)["rounds"]] for name in LOADERS}
    assert max(rates["tf_data"]) < min(rates["numpy"]), "or there is nothing to find"
    text = says(run)
    assert "`tf_data` (75.8k samples/s) is not proven faster, by rate and by AU, than `seq" in text
    assert "It is faster than `numpy`" in text
    (best,) = best_loaders(rows_from_run(parse_run(run)))
    assert [row.label for row in best.slower] == ["numpy"]
    assert [row.label for row in best.tied] == ["sequence"]


def test_a_difference_counts_as_shown_only_where_au_shows_it_too(run):
    def least():
        (found,) = re.findall(r"certainly have shown is (\d+)% in feed rate", says(run))
        return int(found)

    before = least()
    for number, measured in enumerate(select(run, "feed", "numpy")["rounds"]):
        measured["ceiling_seconds"] *= 0.6 if number % 2 else 1.4
    assert least() > before + 20


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
    assert "No clear winner in feed rate" in says(run)


def test_only_loaders_with_the_same_options_are_compared(run):
    for result in run["cases"]:
        if result["case"]["loader"] != "tf_data":
            result["case"] |= {"backend": "jax", "batch_size": 256}
    text = says(run)
    assert "`tf_data` feeds 75.8k samples/s; no other loader" in text
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
    measured = rows_from_run(parse_run(run))[0].memory
    assert (measured.anon_bytes, measured.shmem_bytes) == (20, 40)
    assert (measured.footprint_bytes, measured.page_cache_bytes) == (60, -50)


def test_numbers_of_workers_are_compared_like_loaders(whole_run):
    text = says(whole_run)
    assert "`sequence (2 workers)` feeds fastest: 141k samples/s, 1.42 times `sequence`" in text
    assert "**jax**: " in text


def test_workers_help_or_hurt_only_beyond_doubt(whole_run):
    without = row_of(whole_run, "jax", "sequence").feed
    assert "2 workers make `sequence` 1.42 times as fast in feeding" in says(whole_run)
    for result in on_backend(whole_run, "jax"):
        if result["case"]["num_workers"]:
            for measured in result["rounds"]:  # as fast as before, on a machine that got faster
                measured["ceiling_seconds"] = measured["seconds"] * without.utilization.median
    assert "workers make" not in says(whole_run)


def test_workers_that_hurt_are_named_too(whole_run):
    for result in on_backend(whole_run, "jax"):
        if result["case"]["num_workers"]:
            for measured in result["rounds"]:
                measured["seconds"] *= 2
    assert "2 workers make `sequence` 0.710 times as fast in feeding" in says(whole_run)


def test_the_best_loader_of_each_backend_has_proven_batches(whole_run):
    wrong = row_of(whole_run, "jax", "stock_sequence", 2)
    jax, tensorflow, torch = best_loaders(rows_from_run(parse_run(whole_run)))
    assert wrong.feed.rate.median > jax.row.feed.rate.median
    assert (jax.row.label, tensorflow.row.label) == ("sequence (2 workers)", "tf_data")
    assert (torch.row.backend, torch.row.label) == ("torch", "sequence")


def test_the_best_loader_is_beyond_doubt_only_without_a_tie(whole_run):
    jax, _, torch = best_loaders(rows_from_run(parse_run(whole_run)))
    assert jax.beyond_doubt
    assert ([row.label for row in torch.tied], torch.beyond_doubt) == (["tf_data"], False)
    text = says(whole_run)
    assert "  - jax: `sequence (2 workers)` (141k), clearly ahead" in text
    assert "  - torch: `sequence` (38.3k), not ranked above `tf_data` (37.7k)" in text


def test_too_few_rounds_tie_with_the_best_loader(whole_run):
    del select(whole_run, "feed", "numpy")["rounds"][5:]
    best = best_loaders(rows_from_run(parse_run(whole_run)))[1]
    assert ([row.label for row in best.tied], best.beyond_doubt) == (["numpy"], False)
    del select(whole_run, "feed", "tf_data")["rounds"][5:]
    assert re.search(
        r"tensorflow: `tf_data` \(7\d\.\dk\), too few rounds to rank it", says(whole_run)
    )


def test_the_best_loader_of_a_single_backend_is_not_said_twice(run):
    assert "Best loader" not in says(run)


def test_wrong_batches_are_short_in_the_findings_and_known_ones_are_marked(whole_run):
    text = says(whole_run)
    assert "([audit](#audit)): `stock_sequence (2 workers)`: 11 of 65 missing (known)." in text
    assert "`wrong_dtype`: other dtype or shape." in text
    assert "read ahead" not in text
