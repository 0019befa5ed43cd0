"""Laws of `bench.statistics`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from keras_loader_bench.bench.plan.protocol import Protocol
from keras_loader_bench.bench.slope import Slope
from keras_loader_bench.bench.statistics import (
    MIN_ROUNDS,
    Estimate,
    best,
    ratios,
    smallest_ranked_difference,
)


def make(median, low=None, high=None, n=12):
    return Estimate(median=median, low=low, high=high, n=n)


def test_the_median_is_the_middle_round_or_the_mean_of_two():
    assert Estimate.from_values([3, 1, 2]).median == 2
    assert Estimate.from_values([4, 1, 2, 3]).median == 2.5


@pytest.mark.parametrize(
    ("n", "low", "high"),
    # Conover, Practical Nonparametric Statistics, and every binomial table: the k-th smallest and
    # the k-th largest with the largest k for which 1 - 2 P(Binomial(n, 1/2) < k) >= 0.95.
    [(6, 1, 6), (8, 1, 8), (9, 2, 8), (12, 3, 10), (15, 4, 12), (20, 6, 15), (30, 10, 21)],
)
def test_the_interval_has_the_order_statistics_of_the_tables(n, low, high):
    rounds = np.random.default_rng(0).permutation(np.arange(1, n + 1))
    estimate = Estimate.from_values(rounds)
    assert (estimate.low, estimate.high, estimate.n) == (low, high, n)


@pytest.mark.parametrize("n", range(1, MIN_ROUNDS))
def test_too_few_rounds_give_a_median_and_no_interval(n):
    estimate = Estimate.from_values(range(n))
    assert estimate.low is estimate.high is estimate.half_width is None
    assert estimate.n == n


@pytest.mark.parametrize("n", [6, 12])
def test_the_interval_covers_the_median_of_a_skewed_distribution_in_95_of_100_draws(n):
    draws = np.random.default_rng(0).lognormal(sigma=0.5, size=(600, n))  # the median is 1
    estimates = [Estimate.from_values(draw) for draw in draws]
    covered = np.mean([estimate.low <= 1 <= estimate.high for estimate in estimates])
    # The exact coverages are 0.969 and 0.961; 0.025 is three standard errors of 600 draws.
    assert covered == pytest.approx({6: 0.969, 12: 0.961}[n], abs=0.025)


@pytest.mark.parametrize("values", [[], [1.0, float("nan")], [float("inf")]])
def test_no_rounds_and_rounds_that_are_not_finite_are_refused(values):
    with pytest.raises(ValueError, match="`values` must"):
        Estimate.from_values(values)


def test_utilization_of_a_loader_that_takes_twice_as_long_is_one_half_however_rounds_drift():
    seconds = [1.0, 1.5, 0.7, 3.0, 1.1, 0.9, 2.0]
    au = Estimate.from_values(ratios([s / 2 for s in seconds], seconds))
    assert (au.median, au.low, au.high) == (0.5, 0.5, 0.5)
    assert au.complement() == au


def test_the_complement_turns_the_interval_around():
    stall = make(0.75, 0.5, 0.875).complement()
    assert stall == make(0.25, 0.125, 0.5)
    assert make(0.75).complement() == make(0.25)


def test_a_model_waits_for_no_less_than_no_time():
    stall = make(1.1, 0.9, 1.3).complement()
    assert (stall.median, stall.low) == (0, 0)
    assert stall.high == pytest.approx(0.1)


def test_what_is_finer_than_the_resolution_is_not_told_apart():
    one = Estimate.from_processes({1: [1.00], 2: [1.01], 3: [1.02]})
    other = Estimate.from_processes({1: [1.10], 2: [1.11], 3: [1.12]})
    assert one.apart_from(other)
    coarse = replace(other, resolution=0.15)
    assert not one.apart_from(coarse)
    assert not coarse.apart_from(one)
    assert one.smallest_ranked_difference(coarse) == pytest.approx(0.15)
    assert one.apart_from(replace(other, resolution=0.05))


def test_rounds_of_which_only_a_part_was_recorded_are_left_out():
    assert ratios([1, None, 3, 4, float("nan")], [2, 2, None, 0, 1]) == [0.5]


def test_numerators_and_denominators_must_belong_to_the_same_rounds():
    with pytest.raises(ValueError, match="zip"):
        ratios([1, 2], [1])


@pytest.mark.parametrize(
    ("first", "second", "overlap"),
    [
        (make(2, 1, 3), make(4, 3, 5), True),  # a shared end is an overlap
        (make(2, 1, 3), make(5, 4, 6), False),
        (make(2, 1, 9), make(5, 4, 6), True),
        (make(2), make(50, 49, 51), True),  # without an interval nothing is known
    ],
)
def test_intervals_overlap_both_ways_or_not_at_all(first, second, overlap):
    assert first.apart_from(second) is second.apart_from(first) is not overlap


def test_the_best_of_nothing_is_refused():
    with pytest.raises(ValueError, match="`estimates` must not be empty"):
        best({})


def test_half_a_width_is_a_fraction_of_the_median():
    assert make(10, 9, 11).half_width == pytest.approx(0.1)
    assert make(0, -1, 1).half_width is None


def test_medians_further_apart_than_the_smallest_ranked_difference_are_ranked():
    difference = smallest_ranked_difference([make(10, 9, 11), make(10, 8, 12), make(1)])
    assert difference == pytest.approx(1.1 / 0.8 - 1)
    for factor, ranked in ((1.01, True), (0.99, False)):
        median = 10 * (1 + factor * difference)
        other = make(median, 0.8 * median, 1.2 * median)
        assert other.apart_from(make(10, 9, 11)) is ranked


def test_without_two_usable_intervals_there_is_no_smallest_ranked_difference():
    assert smallest_ranked_difference([make(10, 9, 11)]) is None
    assert smallest_ranked_difference([make(10, 9, 11), make(1, 0, 2)]) is None


# Standard deviations of logarithms, between processes and between the rounds of one, measured with
# ten fresh processes of `sequence`.
NOISE = {"tensorflow": (0.09, 0.12), "jax": (0.05, 0.13)}
PROCESSES, ROUNDS_OF_ONE = Protocol().processes, Protocol().rounds


def drawn(chance, noise, drift=0.0):
    """A figure of which 1 is true: of each pass the rounds, over a run that drifts by so much."""
    between, within = noise
    passes = np.linspace(-drift / 2, drift / 2, PROCESSES) + chance.normal(0, between, PROCESSES)
    rounds = chance.normal(0, within, (PROCESSES, ROUNDS_OF_ONE))
    return {n: list(np.exp(level + rounds[n])) for n, level in enumerate(passes)}


@pytest.mark.parametrize("drift", [0.0, 0.3])
@pytest.mark.parametrize("noise", NOISE.values(), ids=NOISE)
def test_the_interval_of_processes_covers_the_truth_in_93_of_100_runs(noise, drift):
    chance = np.random.default_rng(0)
    found = [Estimate.from_processes(drawn(chance, noise, drift)) for _ in range(2000)]
    assert np.mean([each.low <= 1 <= each.high for each in found]) >= 0.93


@pytest.mark.parametrize("noise", NOISE.values(), ids=NOISE)
def test_of_the_rounds_of_one_process_it_does_not(noise):
    """Why processes: many rounds of one make an interval that is narrow and wrong."""
    chance = np.random.default_rng(0)
    between, within = noise
    levels = chance.normal(0, between, 500)
    found = [Estimate.from_values(np.exp(x + chance.normal(0, within, 15))) for x in levels]
    assert np.mean([each.low <= 1 <= each.high for each in found]) < 0.9


@pytest.mark.parametrize("drift", [0.0, 0.7])
@pytest.mark.parametrize("noise", NOISE.values(), ids=NOISE)
def test_equals_are_called_apart_in_5_of_100_pairs_however_the_run_drifts(noise, drift):
    chance = np.random.default_rng(0)
    apart = []
    for _ in range(2000):
        passes = chance.normal(0, drift, PROCESSES)  # what both have in common
        pair = [
            Estimate.from_processes(
                {n: list(np.exp(passes[n]) * np.array(v)) for n, v in drawn(chance, noise).items()}
            )
            for _ in range(2)
        ]
        apart.append(pair[0].apart_from(pair[1]))
    assert np.mean(apart) == pytest.approx(0.05, abs=0.015)


def test_what_is_apart_differs_by_more_than_the_smallest_ranked_difference():
    chance = np.random.default_rng(0)
    for _ in range(300):
        first = Estimate.from_processes(drawn(chance, NOISE["jax"]))
        rounds = drawn(chance, NOISE["jax"])
        other = Estimate.from_processes({n: [1.15 * v for v in r] for n, r in rounds.items()})
        ratio = np.mean([np.log(other.by_pass[n] / first.by_pass[n]) for n in rounds])
        enough = smallest_ranked_difference([first, other])
        assert first.apart_from(other) is bool(abs(ratio) > np.log(1 + enough))


def test_one_process_has_the_interval_of_its_rounds_and_two_have_none():
    rounds = [1.0, 1.1, 1.2, 1.3, 1.4, 1.5]
    assert Estimate.from_processes({1: rounds}) == Estimate.from_values(rounds)
    two = Estimate.from_processes({1: rounds, 2: rounds, 3: []})
    assert (two.n, two.low, two.shortage) == (2, None, "too few processes")
    assert Estimate.from_processes({1: []}) is None


def test_a_share_of_zero_has_an_interval_too():
    estimate = Estimate.from_processes({1: [0.0], 2: [0.0], 3: [0.0]})
    assert (estimate.low, estimate.median, estimate.high) == (0, 0, 0)


def test_a_slope_is_that_of_the_points():
    slope = Slope.through((x, 5 + 3 * x) for x in (1, 2, 4, 8))
    assert (slope.value, slope.at_zero, slope.n) == (pytest.approx(3), pytest.approx(5), 4)
    assert slope.low == pytest.approx(3)
    assert slope.high == pytest.approx(3)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # NumPy's, of the overflow it is about
def test_a_slope_whose_interval_cannot_be_computed_has_none():
    slope = Slope.through([(0, 1e200), (1, -1e200), (2, 1e200), (3, 3e200)])
    assert (slope.low, slope.high) == (None, None)


def test_points_at_one_height_have_a_slope_of_zero_beyond_doubt():
    slope = Slope.through((x, 7) for x in range(5))
    assert (slope.value, slope.low, slope.high) == (0, 0, 0)


def test_two_points_have_a_slope_without_an_interval_and_one_has_none():
    slope = Slope.through([(0, 1), (2, 5)])
    assert (slope.value, slope.low, slope.high) == (2, None, None)
    assert Slope.through([(1, 1), (1, 2)]) is None
    assert Slope.through([]) is None


@pytest.mark.parametrize("confidence", [0.95, 0.99])
def test_intervals_of_slopes_cover_the_truth_as_often_as_they_say(confidence):
    random = np.random.default_rng(5)
    covered = 0
    for _ in range(1000):
        noise = random.normal(size=5)
        slope = Slope.through(((x, 2 * x + e) for x, e in enumerate(noise)), confidence=confidence)
        covered += slope.low <= 2 <= slope.high
    spread = (confidence * (1 - confidence) / 1000) ** 0.5
    assert covered / 1000 == pytest.approx(confidence, abs=3 * spread)
