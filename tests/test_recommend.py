"""The recommendation is a rule that can be checked: every part of it decides where it should."""

from __future__ import annotations

from dataclasses import replace

import pytest

from keras_loader_bench.bench.report.figures.memory_figures import Memory
from keras_loader_bench.bench.report.figures.rows import Row
from keras_loader_bench.bench.report.figures.throughput import Throughput
from keras_loader_bench.bench.report.recommend import recommend
from keras_loader_bench.bench.report.sections.recommendation_section import recommendation_text
from keras_loader_bench.bench.statistics import Estimate

MIB = 2**20


def estimate(median, half=0.01):
    return Estimate(median=median, low=median * (1 - half), high=median * (1 + half), n=15)


def case(au, *, outcome="ok", half=0.01):
    figure = Throughput(
        outcome=outcome,
        signal=None,
        rate=estimate(100_000 * au, half),
        utilization=estimate(au, half),
        cpu_s_per_1000_samples=None,
        time_to_first_batch_s=None,
    )
    return figure


def memory(mib, *, outcome="ok", enforcement=None):
    return Memory(
        outcome=outcome, anon_bytes=int(mib * MIB), shmem_bytes=0, enforcement=enforcement
    )


def row(loader, au=0.9, mib=20.0, **changes):
    known = {
        "backend": "jax",
        "loader": loader,
        "batch_size": 64,
        "pixels": "float32",
        "samples": 50_000,
        "feed": case(au),
        "train": case(au),
        "memory": memory(mib),
        "identical": True,
        "packages": (),
    }
    return Row(**(known | changes))


def chosen(*rows):
    (found,) = recommend(sorted(rows, key=lambda row: (row.loader, row.num_workers)))
    return found


def test_the_highest_au_of_training_wins_whatever_its_footprint():
    found = chosen(row("large", 0.95, 800), row("small", 0.80, 5))
    assert found.row.loader == "large"
    assert found.tied == ()


def test_training_decides_and_not_feeding():
    found = chosen(row("feeds", 0.8, feed=case(0.99)), row("trains", 0.9, feed=case(0.5)))
    assert (found.row.loader, found.bench) == ("trains", "train")


def test_feeding_decides_where_training_was_not_measured():
    found = chosen(row("a", 0.8, train=None), row("b", 0.9, train=None))
    assert (found.row.loader, found.bench) == ("b", "feed")
    assert "training was not measured" in " ".join(recommendation_text(found))


def test_feeding_decides_where_training_was_skipped():
    skipped = {"train": replace(case(0.9), outcome="skipped", rate=None, utilization=None)}
    found = chosen(row("a", 0.8, feed=case(0.8), **skipped), row("b", feed=case(0.9), **skipped))
    assert (found.row.loader, found.bench) == ("b", "feed")


def test_who_is_not_proven_behind_is_as_good_and_then_the_footprint_decides():
    wide = {"train": case(0.92, half=0.10)}
    found = chosen(row("large", mib=800, **wide), row("small", 0.90, 5))
    assert found.row.loader == "small"
    assert [other.loader for other in found.tied] == ["large"]


@pytest.mark.parametrize(("small", "large"), [(20, 51), (400, 439)])
def test_of_the_same_footprint_the_one_with_fewer_dependencies_wins(small, large):
    """Footprints within a tenth or 32 MiB of each other are the same."""
    a = row("a", mib=small, packages=("a", "b"))
    found = chosen(a, row("b", mib=large, packages=("b",)))
    assert found.row.loader == "b"
    assert found.decided_by == ("the fewest dependencies",)
    reason = recommendation_text(found)[1]
    assert reason.endswith("Of these, it has the fewest dependencies.")


@pytest.mark.parametrize(("small", "large"), [(20, 53), (400, 441)])
def test_a_footprint_that_is_larger_weighs_more_than_dependencies(small, large):
    found = chosen(row("a", mib=small, packages=("a", "b")), row("b", mib=large))
    assert found.row.loader == "a"
    assert found.decided_by == ("the smallest footprint",)


def test_of_the_same_footprint_the_one_that_feeds_faster_wins_if_it_is_proven():
    slow = row("a", feed=case(0.7))
    assert chosen(slow, row("b", feed=case(0.9), packages=("p",))).row.loader == "b"
    unproven = row("b", feed=case(0.71, half=0.10), packages=("p",))
    assert chosen(slow, unproven).row.loader == "a"


def test_those_that_nothing_tells_apart_are_recommended_together():
    found = chosen(row("a"), row("b", 0.901), row("slow", 0.5), row("large", mib=800))
    assert (found.row.loader, [each.loader for each in found.equals]) == ("a", ["b"])
    assert [each.loader for each in found.tied] == ["large"]
    answer, reason, change = recommendation_text(found)
    assert "use `a` or `b`; any of these will do.**" in answer
    assert (
        "`b` feeds 90.1k samples/s, 0.90 of the ceiling, in 20 MiB; `large` needs 800 MiB."
        in answer
    )
    assert "Of these, the recommended loaders have the smallest footprint." in reason
    assert "an AU of 0.90 for `slow`" in change


def test_a_loader_that_is_faster_than_its_ceiling_is_no_ground_for_an_answer():
    found = chosen(row("a", 1.12), row("b", 0.9))
    assert found.row is None
    answer, remedy = recommendation_text(found)
    assert "no loader can be recommended: `a` has an AU of 1.12, above the ceiling.**" in answer
    assert "quiet machine" in remedy


def test_rounds_on_a_busy_machine_recommend_nothing():
    quiet, busy = case(0.9), replace(case(0.8), others=0.3)
    found = chosen(row("a", train=quiet), row("b", train=busy))
    assert found.row is None
    answer, _ = recommendation_text(found)
    assert "no loader can be recommended: other processes used up to 30% of the cores" in answer
    assert "during the rounds of `b`.**" in answer
    assert chosen(row("a", train=quiet), row("b", train=replace(busy, others=0.05))).row


def test_who_is_behind_any_other_is_out_even_if_the_best_was_measured_badly():
    """A noisy best median is apart from nobody."""
    badly = case(0.95, half=0.9)
    noisy = row("noisy", train=badly, feed=badly, packages=("p", "q"))
    found = chosen(noisy, row("good", 0.9, packages=("p",)), row("bad", 0.3))
    assert found.row.loader == "good"
    assert [other.loader for other in found.tied] == ["noisy"]


def test_the_package_of_the_backend_is_no_further_dependency():
    found = chosen(row("a", 0.901, packages=("jax",)), row("b", 0.9))
    assert found.row.loader == "a"


def test_then_fewer_workers_win():
    found = chosen(row("a", 0.90), row("a", 0.901, num_workers=2))
    assert found.row.num_workers == 0


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"identical": False}, "batches are not identical"),
        ({"identical": None}, "batches are not proven identical"),
        (
            {"memory": memory(5, outcome="refused", enforcement="RLIMIT_DATA")},
            "does not fit into the memory budget",
        ),
        ({"train": case(0.99, outcome="crashed")}, "the case ended as: crashed"),
        ({"train": None}, "no training was measured"),
        (
            {
                "train": case(0.99).__class__(
                    **{**vars(case(0.99)), "rate": Estimate(median=1.0, low=None, high=None, n=3)}
                )
            },
            "1 process, 3 needed",
        ),
    ],
    ids=["other batches", "not audited", "budget", "crashed", "not trained", "one process"],
)
def test_who_breaks_a_condition_takes_no_part_however_fast_it_is(changes, reason):
    found = chosen(row("fast", 0.99, **changes), row("slow", 0.5))
    assert found.row.loader == "slow"
    assert found.excluded == {reason: ["fast"]}
    assert reason in " ".join(recommendation_text(found))


def test_a_missing_footprint_is_no_small_one():
    found = chosen(row("unknown", memory=None), row("known", mib=500))
    assert found.row.loader == "known"


def test_nobody_is_recommended_where_nobody_fits():
    found = chosen(row("a", identical=False))
    assert found.row is None
    answer, _ = recommendation_text(found)  # the terminal shows the answer alone
    assert "recommended.** Left out: `a` (batches are not identical)." in answer


def test_each_set_of_options_has_its_own_answer():
    rows = [row("a", 0.9), row("b", 0.5), row("a", 0.5, backend="torch")]
    rows += [row("b", 0.9, backend="torch")]
    assert [found.row.loader for found in recommend(rows)] == ["a", "b"]


def test_the_answer_stands_first_with_its_reason_and_what_would_change_it():
    found = chosen(
        row("sequence", 0.93, 21, feed=case(0.93)),
        row("numpy", 0.931, 790),
        row("slow", 0.5, 5),
    )
    answer, reason, change = recommendation_text(found)
    assert answer == (
        "**On this machine, with jax, batch size 64: use `sequence`.** It feeds 93.0k samples/s, "
        "0.93 of the ceiling, in 21 MiB; `numpy` needs 790 MiB."
    )
    assert "Its batches are proven identical" in reason
    assert (
        "`numpy` is not proven slower or faster. Of these, it has the smallest footprint." in reason
    )
    assert "a footprint above the 790 MiB of `numpy`" in change
    assert "an AU of 0.93 for `slow` instead of 0.50" in change


def test_small_utilizations_that_would_look_equal_have_more_digits():
    *_, change = recommendation_text(chosen(row("fast", 0.024), row("slow", 0.016)))
    assert "an AU of 0.0240 for `slow` instead of 0.0160" in change


def test_the_order_of_rows_changes_nothing():
    rows = [row("a", 0.9, 50), row("b", 0.9, 40), row("c", 0.7, 1)]
    for order in (rows, rows[::-1]):
        (found,) = recommend(order)
        assert [each.loader for each in (found.row, *found.equals)] == ["a", "b"]
