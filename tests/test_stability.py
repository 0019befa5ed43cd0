"""What disturbed the rounds is told, with what to do about it; a quiet run has no warning."""

from __future__ import annotations

import numpy as np
import pytest
from made_runs import raw_run

from keras_loader_bench.bench.record.reader import parse_run
from keras_loader_bench.bench.report.sections.stability import stability_warnings, trend

CORES = 4


def a_round(seconds=1.0, **changes):
    return {
        "samples": 1000,
        "seconds": seconds,
        "ceiling_seconds": 0.5,
        "cpu_seconds": 1.0,
        "machine_busy_cpu_seconds": 1.05,
        "machine_stolen_cpu_seconds": 0.0,
    } | changes


def a_run(rounds=None, environment=None, **case):
    rounds = [a_round(1 + 0.01 * (n % 3)) for n in range(15)] if rounds is None else rounds
    options = {"bench": "feed", "loader": "x", "backend": "jax", "batch_size": 64}
    options |= {"pixels": "float32", "samples": 1000}
    return raw_run(
        [{"id": "feed-x", "case": options, "outcome": "ok", "rounds": rounds, **case}],
        environment={"cores": CORES, "load_average_1min": 0.2} | (environment or {}),
    )


def warned_of(run):
    """The warnings of a run of one process, but for the one that says so."""
    return [text for text in warnings_of(run) if "in one process only" not in text]


def warnings_of(run):
    return stability_warnings(parse_run(run))


def test_a_quiet_run_has_no_warning():
    assert warned_of(a_run()) == []


@pytest.mark.parametrize(
    ("run", "what", "remedy"),
    [
        (a_run([a_round()] * 3), "Too few processes", "`--processes 3` or more"),
        (a_run(), "Every timed case ran in one process only", "`--processes 3` or more"),
        (
            a_run([a_round(1 + 0.5 * (n % 2)) for n in range(15)]),
            "Rounds vary by more than 10%",
            "--processes",
        ),
        (a_run([a_round(1 + 0.05 * n) for n in range(15)]), "Rounds drift", "warm up or cool"),
        (a_run(environment={"load_average_1min": 2.5}), "The machine was busy", "until it is idle"),
        (
            a_run([a_round(machine_busy_cpu_seconds=1.6)] * 15),
            "Other processes used up to 15% of the cores",
            "Stop them",
        ),
        (
            a_run([a_round(machine_stolen_cpu_seconds=0.4)] * 15),
            "The hypervisor took up to",
            "another time",
        ),
        (
            a_run([a_round(1 + 0.01 * (n % 3), ceiling_seconds=1.2) for n in range(15)]),
            "The ceiling was beaten beyond doubt in 1 case",
            "on a quiet machine",
        ),
        (a_run(environment={"cpu_quota_cores": 1.5}), "cores to 1.5", "whole cores"),
        (a_run(swapped_bytes=2**24), "16 MiB were swapped", "Free some memory"),
        (a_run(environment={"swap_used_bytes": 2**30}), "1,024 MiB of swap", "Free some memory"),
    ],
    ids=[
        *("few", "alone", "spread", "drift", "load", "others", "stolen", "beaten", "quota"),
        *("swapped", "swap"),
    ],
)
def test_each_disturbance_is_told_with_what_to_do(run, what, remedy):
    found = [text for text in warnings_of(run) if what in text]
    assert len(found) == 1
    assert remedy in found[0]


def test_the_cpu_time_of_a_machine_is_that_of_all_its_cores():
    """Also where the run may use a part of them only."""
    run = a_run([a_round(machine_busy_cpu_seconds=2.0)] * 15)
    assert any("Other processes" in text for text in warned_of(run))
    run["environment"]["machine_cores"] = 64
    assert warned_of(run) == []


@pytest.mark.parametrize(
    "environment", [{"cores": None}, {"load_average_1min": None}, {"cpu_quota_cores": None}]
)
def test_a_run_that_does_not_tell_is_not_warned_of(environment):
    old = ("machine_busy_cpu_seconds", "machine_stolen_cpu_seconds")
    rounds = [{k: v for k, v in a_round().items() if k not in old}] * 15
    assert warned_of(a_run(rounds, environment)) == []


def test_a_round_that_was_cut_short_breaks_nothing():
    run = a_run([*[a_round()] * 14, {"samples": 1000}])
    assert warned_of(run) == []


def test_a_trend_is_told_from_noise():
    chance = np.random.default_rng(0)
    noise = [np.exp(chance.normal(0, 0.05, 15)) for _ in range(300)]
    assert sum(trend(list(values)) is not None for values in noise) <= 9  # 3% at the promised 1%
    growing = noise[0] * np.linspace(1, 1.5, 15)
    assert trend(list(growing)) == pytest.approx(0.4, abs=0.1)
    assert trend([1.0] * 15) is None
    assert trend([1, 2, 3]) is None


def test_of_many_cases_the_first_few_are_named():
    run = a_run([a_round()] * 3)
    run["cases"] = [run["cases"][0] | {"id": f"case-{n}"} for n in range(9)]
    (text,) = warned_of(run)
    assert "`case-3` and 5 more" in text
