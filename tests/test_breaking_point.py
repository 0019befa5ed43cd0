"""The search ends with a bracket of 5%, wherever the breaking point is."""

import random

import pytest

from keras_loader_bench.bench.parent.breaking_point import TOLERANCE, Trial, bracket_of, next_size
from keras_loader_bench.bench.plan.matrix import cases_of
from keras_loader_bench.bench.record.process_record import MemoryRecord, ProcessRecord
from keras_loader_bench.bench.record.schema import CaseRecord

GIB = 2**30
SIZES = (50_000, 100_000, 200_000, 400_000, 800_000)


def search(footprint, *, sizes=SIZES, noise=0.0, seed=0):
    """Try the sizes, then search; returns all trials and how many the search took."""
    chance = random.Random(seed)

    def trial(samples):
        size = footprint(samples)
        seen = int(size * (1 + noise * chance.uniform(-1, 1)))
        return Trial(samples=samples, survived=size <= GIB, footprint_bytes=seen)

    trials = [trial(samples) for samples in sizes]
    while size := next_size(trials, budget_bytes=GIB, least=64):
        assert size not in {each.samples for each in trials}
        trials.append(trial(size))
        assert len(trials) < 40, "it does not end"
    return trials, len(trials) - len(sizes)


@pytest.mark.parametrize("bytes_per_sample", [1_400, 3_100, 12_600, 50_000, 900_000])
def test_a_loader_that_needs_so_much_a_sample_is_bracketed_quickly(bytes_per_sample):
    trials, probes = search(lambda n: 5_000_000 + bytes_per_sample * n)
    low, high = bracket_of(trials)
    assert low <= (GIB - 5_000_000) / bytes_per_sample <= high
    assert high <= low * (1 + TOLERANCE)
    assert probes <= 6


@pytest.mark.parametrize("seed", range(30))
def test_noise_and_curves_do_not_lead_it_astray(seed):
    chance = random.Random(seed)
    offset, exponent = chance.uniform(0, 3e8), chance.uniform(0.7, 1.4)
    factor = 10 ** chance.uniform(2, 5) / 50_000 ** (exponent - 1)
    trials, probes = search(lambda n: offset + factor * n**exponent, noise=0.1, seed=seed)
    low, high = bracket_of(trials)
    if high is not None:
        assert high <= low * (1 + TOLERANCE)
    assert probes <= 16


@pytest.mark.parametrize("too_high", [1.03, 1.06])
def test_a_prediction_that_is_a_little_too_high_costs_one_size_more(too_high):
    trials, probes = search(lambda n: 2_300 * n * (1 if n <= 200_000 else too_high))
    low, high = bracket_of(trials)
    assert low <= GIB / 2_300 / too_high <= high <= low * (1 + TOLERANCE)
    assert probes == 2


def test_a_loader_that_never_died_is_not_searched():
    _, probes = search(lambda n: 10_000_000)
    assert probes == 0


def test_a_loader_that_always_dies_is_given_up_soon():
    trials, probes = search(lambda n: 2 * GIB, sizes=(50_000,))
    assert bracket_of(trials) == (0, 64)
    assert probes <= 4


def test_a_survivor_above_a_death_does_not_count():
    trials = [Trial(samples=n, survived=n != 200, footprint_bytes=None) for n in (100, 200, 300)]
    assert bracket_of(trials) == (100, 200)


@pytest.mark.parametrize(
    ("outcome", "enforcement", "survived"),
    [
        ("ok", "RLIMIT_DATA", True),
        ("refused", "RLIMIT_DATA", False),
        ("over_budget", "watchdog", False),
        ("timeout", "watchdog", False),
        ("crashed", "RLIMIT_DATA", False),
        ("crashed", None, None),
        ("failed", "RLIMIT_DATA", None),
        ("skipped", None, None),
    ],
)
def test_only_what_happened_under_the_budget_is_a_trial(outcome, enforcement, survived):
    (case,) = cases_of("memory", {"backend": ["jax"], "loader": ["sequence"], "samples": [7]})
    process = ProcessRecord(memory=MemoryRecord(enforcement=enforcement))
    record = CaseRecord(id="", case=case, outcome=outcome, processes=[process])
    trial = Trial.from_record(record)
    assert (trial and trial.survived) == survived
