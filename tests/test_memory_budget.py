"""A loader that dies under a memory budget is a result, told apart by how it died."""

import re

import pytest
import suite

from keras_loader_bench.bench.record.schema import DEATHS

pytestmark = pytest.mark.long

OUTCOMES = {
    "fails": "failed",
    "hoards": "refused",
    "segfaults": "crashed",
    "sequence": "ok",
    "spawns": "over_budget",
    "stuck": "timeout",
}
BUDGET = 100 * 2**20


# One run of loaders that die, each in its way; the breaking point of one is looked for.
finished = suite.faulty(
    __name__,
    *("--loaders", ",".join(OUTCOMES), "--num-workers", "1", "--memory-budget", "100MiB"),
    *("-k", "test_memory or (breaking_point and hoards)", "--silence-timeout", "10"),
).fixture()


def test_every_way_of_dying_has_its_outcome(finished):
    assert {case.case.loader: case.outcome for case in finished.run.cases} == OUTCOMES


def test_what_is_not_proven_to_die_of_its_budget_fails_the_run(finished):
    failed = [line for line in finished.output.splitlines() if line.startswith("FAILED")]
    names = [re.search(r"-(\w+)-w\d", line)[1] for line in failed]
    assert sorted(names) == ["fails", "segfaults", "stuck"], finished.output
    assert "3 failed, 4 passed" in finished.output


def test_every_death_is_proven(finished):
    refused, over = finished.case("hoards"), finished.case("spawns")
    assert "Unable to allocate 512. MiB" in refused.error.message
    limit = refused.memory.limit
    assert limit.limit_bytes - limit.data_bytes == BUDGET
    held = [r.anon + r.shmem for r in over.memory.readings]
    baseline = over.memory.baseline
    assert max(held) - baseline.anon - baseline.shmem > BUDGET
    assert "more than the budget of 100 MiB" in over.error.message
    assert finished.case("segfaults").error.signal == "SIGSEGV"
    assert "no answer to `round`" in finished.case("stuck").error.message


def test_the_row_says_what_kept_the_budget(finished):
    kept = {case.case.loader: case.memory.enforcement for case in finished.run.cases}
    assert kept == dict.fromkeys(OUTCOMES, "RLIMIT_DATA") | {"spawns": "watchdog"}
    table = finished.report.partition("## Memory")[2]
    for loader, how in kept.items():
        (line,) = [x for x in table.splitlines() if f"| `{loader}" in x and "512" not in x[:6]][:1]
        assert line.endswith(f"{how} |".replace("_", "\\_"))


def test_a_survivor_is_audited_without_the_limit(finished):
    assert finished.case("sequence").audit.identical


def test_the_breaking_point_is_bracketed(finished):
    tried = {
        probe.case.samples: probe.outcome
        for probe in finished.run.probes
        if probe.case.loader == "hoards"
    }
    assert len(tried) == len(finished.run.probes)
    # Where only its last MiB is missing, any allocation of the process may be the one refused, also
    # one after which it crashes or hangs.
    low = max(samples for samples, outcome in tried.items() if outcome == "ok")
    not_ok = min(samples for samples, outcome in tried.items() if outcome != "ok")
    high = min(samples for samples, outcome in tried.items() if outcome in DEATHS)
    # The kernel counts what is not touched as well, such as stacks, so a little less than 100; or
    # just 100, where the process had that little to spare. 101 MiB cannot fit.
    assert 70 <= low < high, tried
    assert high <= 101 or not_ok < high, tried  # below it, something else ended the process
    assert not_ok <= low * 1.05 + 1, tried
    assert "`hoards` needs" in finished.report
    assert f"exceeds a budget of 100 MiB between {low} and {high} samples" in finished.report


def test_survivors_of_the_search_are_audited_too(finished):
    lived = [probe for probe in finished.run.probes if probe.outcome == "ok"]
    assert lived
    assert all(probe.audit.identical for probe in lived)


def test_deaths_are_not_listed_as_failures(finished):
    failures = finished.report.partition("## Failed and skipped cases")[2]
    assert "fails-w0" in failures
    assert not [name for name in ("hoards-w0-b64-float32-n512", "spawns-w1") if name in failures]
    assert "stuck-w0" in failures


def test_no_process_is_left(finished):
    assert finished.left == []
