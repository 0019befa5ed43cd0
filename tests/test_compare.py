"""Two runs are compared as far as their rounds carry, and no further."""

import json
import re
from copy import deepcopy

import numpy as np
import pytest
from conftest import TESTS
from made_runs import case_record, raw_run

from keras_loader_bench.bench.compare.__main__ import main
from keras_loader_bench.bench.compare.change import (
    FASTER,
    NO_CLEAR_DIFFERENCE,
    SLOWER,
    TOO_FEW,
    judge,
    slower_by,
)
from keras_loader_bench.bench.compare.compare_markdown import verdict_text
from keras_loader_bench.bench.compare.pairs import Pair, pair_cases
from keras_loader_bench.bench.compare.ratio import Ratio
from keras_loader_bench.bench.plan.protocol import Protocol
from keras_loader_bench.bench.record.reader import parse_run
from keras_loader_bench.bench.record.schema import SCHEMA

ROUNDS = 15
"""Of runs with one process per case, which older versions made."""

PROCESSES = Protocol().processes
GOLDEN = TESTS / "data" / "invented_run"
PAIRS = 400


def jax_like(chance, rounds):
    """Seconds of rounds as on JAX: neighbouring rounds have a ratio with a sd of 0.08."""
    return np.exp(chance.normal(0, 0.08 / np.sqrt(2), rounds))


def tensorflow_like(chance, rounds):
    """As on TensorFlow: clusters, of which the slow one has all threads on one core; sd 0.30."""
    slow = np.where(chance.random(rounds) < 0.25, 1.5, 1.0)
    return slow * np.exp(chance.normal(0, 0.08, rounds))


def measured(chance, noise, *, rounds=9, faster=1.0, machine=1.0, cpu=1.0):
    """A case in `run.json`: of a loader so much faster, on a machine that is so much slower."""
    seconds = machine * noise(chance, rounds) / faster
    ceiling = machine * noise(chance, rounds) / 2
    cpu_seconds = machine * cpu * chance.normal(1, 0.03, rounds)
    ceiling_cpu = machine * chance.normal(0.5, 0.015, rounds)
    return {
        "id": "case",
        "case": {"bench": "feed", "backend": "jax", "loader": "x", "batch_size": 64}
        | {"pixels": "float32", "samples": 1000},
        "outcome": "ok",
        "rounds": [
            {
                "samples": 1000,
                "seconds": s,
                "ceiling_seconds": c,
                "cpu_seconds": u,
                "ceiling_cpu_seconds": v,
            }
            for s, c, u, v in zip(seconds, ceiling, cpu_seconds, ceiling_cpu, strict=True)
        ],
    }


def changes(noise, *, pairs=PAIRS, seed=0, rounds=9, before=None, **after):
    chance = np.random.default_rng(seed)
    for _ in range(pairs):
        yield judge(
            Pair(
                id="case",
                before=case_record(measured(chance, noise, rounds=rounds, **(before or {}))),
                after=case_record(measured(chance, noise, rounds=rounds, **after)),
                refused=None,
            )
        )


def share(found, verdict):
    return np.mean([change.verdict == verdict for change in found])


def test_the_noise_is_that_of_the_backends():
    chance = np.random.default_rng(0)
    for noise, sd in ((jax_like, 0.08), (tensorflow_like, 0.30)):
        ratio = noise(chance, 100_000) / noise(chance, 100_000)
        assert np.std(ratio) == pytest.approx(sd, rel=0.15)


@pytest.mark.parametrize("rounds", [6, 9, 15, 30])
@pytest.mark.parametrize("noise", [jax_like, tensorflow_like])
def test_the_same_against_itself_is_no_clear_difference(noise, rounds):
    assert share(changes(noise, rounds=rounds), NO_CLEAR_DIFFERENCE) >= 0.95


@pytest.mark.parametrize("noise", [jax_like, tensorflow_like])
def test_a_slower_machine_is_not_a_slower_loader(noise):
    found = list(changes(noise, machine=1.25))
    assert share(found, NO_CLEAR_DIFFERENCE) >= 0.95
    assert np.mean([change.decided_by_cpu for change in found]) <= 0.05
    text = next(verdict_text(change) for change in found if not change.decided_by_cpu)
    assert re.search(r"; the machine itself was 2\d% slower$", text)


def test_a_gate_counts_no_slower_machine():
    """A loader that is 3% slower, on a machine that is 10% slower: its rate falls by 12%."""

    def quiet(chance, rounds):
        return np.exp(chance.normal(0, 0.002, rounds))

    found = list(changes(quiet, pairs=20, faster=0.97, machine=1.1))
    assert share(found, SLOWER) == 1
    assert {slower_by(change, 0.02) for change in found} == {True}
    assert {slower_by(change, 0.05) for change in found} == {False}


def test_a_slower_machine_does_not_make_a_loader_slower_whose_steps_wait():
    """The ceiling waits, so it hardly shows what became of the machine; its CPU seconds do."""
    chance = np.random.default_rng(0)
    for _ in range(20):
        sides = [measured(chance, jax_like, machine=machine) for machine in (1.0, 1.4)]
        for side in sides:
            side["case"]["bench"] = "emulated"
            for each in side["rounds"]:
                each |= {"steady_seconds": each["seconds"], "ceiling_steady_seconds": 0.5}
        before, after = map(case_record, sides)
        change = judge(Pair(id="case", before=before, after=after, refused=None))
        assert change.rate.apart
        assert change.utilization.apart
        assert change.verdict == NO_CLEAR_DIFFERENCE


@pytest.mark.parametrize(("faster", "verdict"), [(1.1, FASTER), (1 / 1.1, SLOWER)])
def test_a_tenth_is_found_at_the_noise_of_jax(faster, verdict):
    found = list(changes(jax_like, rounds=ROUNDS, faster=faster))
    assert share(found, verdict) >= 0.8
    assert np.median([c.rate.value for c in found]) == pytest.approx(faster, rel=0.02)


def test_at_the_noise_of_tensorflow_it_is_said_what_could_not_be_seen():
    for change in changes(tensorflow_like, rounds=ROUNDS, faster=1.1):
        assert change.verdict in (NO_CLEAR_DIFFERENCE, FASTER)
        if change.verdict == NO_CLEAR_DIFFERENCE:
            assert change.smallest_change > 0.05
            assert (
                f"(a change below {change.smallest_change:.0%} would not be seen)"
                in verdict_text(change)
            )
    assert share(changes(tensorflow_like, rounds=ROUNDS, faster=1.1), FASTER) < 0.9


def test_cpu_seconds_of_single_processes_decide_nothing():
    found = [c for c in changes(tensorflow_like, cpu=0.9) if c.verdict == NO_CLEAR_DIFFERENCE]
    assert np.mean([change.cpu.apart for change in found]) > 0.95
    assert not any(change.decided_by_cpu for change in found)


def test_few_rounds_say_nothing():
    assert share(changes(jax_like, rounds=3, faster=2), TOO_FEW) == 1


def test_the_interval_covers_the_true_ratio_whatever_the_distribution():
    chance = np.random.default_rng(1)
    covered = []
    for _ in range(1_000):
        before, after = chance.pareto(2, 9) + 1, 1.3 * (chance.pareto(2, 12) + 1)
        ratio = Ratio.between(before.tolist(), after.tolist())
        covered.append(ratio.low <= 1.3 <= ratio.high)
    assert 0.94 <= np.mean(covered) <= 0.98


def test_the_interval_is_that_of_the_textbook():
    """N = m = 9: U of 17 or less has a probability of 0.0400, of 18 one of 0.0503 (exact)."""
    before = [1.0 + i / 100 for i in range(9)]
    after = [2.0 + i**2 / 100 for i in range(9)]
    logs = np.sort([np.log(b / a) for a in before for b in after])
    ratio = Ratio.between(before, after)
    assert np.log([ratio.low, ratio.high]) == pytest.approx([logs[17], logs[-18]])


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_rounds_that_cannot_be_are_refused(value):
    with pytest.raises(ValueError, match="must be positive and finite"):
        Ratio.between([1.0, value], [1.0, 2.0])


# Standard deviations of logarithms: what all of a process has in common, what its loader and its
# ceiling have for themselves, and what their rounds have; and the number of rounds. So rates move
# by 10% between processes, and AU by 6% (JAX, 30 processes with whole epochs of 0.4 s) and 11%
# (TensorFlow, ten processes with rounds of 0.4 s: longer ones vary less).
COMPONENTS = {"jax": (0.08, 0.02, 0.15, 8), "tensorflow": (0.08, 0.064, 0.085, 2)}


def processes(chance, components, *, faster=1.0, machine=1.0, cpu=1.0):
    """A case that was measured in several processes."""
    common, own, within, rounds_of_one = components
    found = []
    for number in range(1, PROCESSES + 1):
        level = machine * np.exp(chance.normal(0, common))
        loader, ceiling = (
            level * np.exp(chance.normal(0, own) + chance.normal(0, within, rounds_of_one))
            for _ in range(2)
        )
        used, beside = np.exp(chance.normal(0, 0.05)) * chance.normal(1, 0.03, (2, rounds_of_one))
        rounds = [
            {"samples": 1000, "seconds": s / faster, "ceiling_seconds": c / 2}
            | {"cpu_seconds": cpu * u, "ceiling_cpu_seconds": v}
            for s, c, u, v in zip(loader, ceiling, used, beside, strict=True)
        ]
        found.append({"number": number, "rounds": rounds})
    case = measured(chance, jax_like)
    del case["rounds"]
    return parse_run(raw_run([case | {"processes": found}], schema=SCHEMA)).cases[0]


def judged(components, *, pairs=PAIRS, **after):
    chance = np.random.default_rng(0)
    return [
        judge(
            Pair(
                id="case",
                before=processes(chance, components),
                after=processes(chance, components, **after),
                refused=None,
            )
        )
        for _ in range(pairs)
    ]


def verdicts(components, **after):
    return [change.verdict for change in judged(components, **after)]


def test_cpu_seconds_of_several_processes_decide_what_the_clock_cannot():
    same, less = (judged(COMPONENTS["tensorflow"], cpu=cpu, pairs=100) for cpu in (1.0, 0.9))
    assert np.mean([change.decided_by_cpu for change in same]) <= 0.06
    found = [change for change in less if change.verdict == NO_CLEAR_DIFFERENCE]
    assert np.mean([change.decided_by_cpu for change in found]) > 0.95
    assert re.search(r"; but CPU seconds differ: \d+% less$", verdict_text(found[0]))


@pytest.mark.parametrize("machine", [1.0, 1.25])
@pytest.mark.parametrize("components", COMPONENTS.values(), ids=COMPONENTS)
def test_of_100_pairs_of_equal_runs_at_most_5_seem_to_differ(components, machine):
    found = verdicts(components, machine=machine)
    assert np.mean([verdict != NO_CLEAR_DIFFERENCE for verdict in found]) <= 0.05


def test_a_quarter_is_found_between_processes_that_differ_as_on_jax():
    assert np.mean([v == SLOWER for v in verdicts(COMPONENTS["jax"], faster=1 / 1.25)]) >= 0.8


def test_two_processes_are_too_few():
    chance = np.random.default_rng(0)
    sides = [processes(chance, COMPONENTS["jax"]) for _ in range(2)]
    del sides[1].processes[2:]
    pair = Pair(id="case", before=sides[0], after=sides[1], refused=None)
    assert judge(pair).verdict == TOO_FEW


@pytest.fixture
def run():
    return json.loads((GOLDEN / "run.json").read_text())


def refusals(before, after):
    return {pair.id: pair.refused for pair in pair_cases(parse_run(before), parse_run(after)).pairs}


def test_runs_of_other_sources_are_refused(run):
    other = deepcopy(run)
    other["sources"][0]["images_sha256"] = "0" * 64
    assert set(refusals(run, other).values()) == {"the runs had different sources"}


def test_runs_of_other_methods_are_refused(run):
    other = run | {"method": 7}
    assert set(refusals(run, other).values()) == {"the runs used different methods (0 and 7)"}
    assert "method: was 0, is 7" in pair_cases(parse_run(run), parse_run(other)).flags


def test_cases_that_failed_in_either_run_are_refused(run):
    ok = next(id for id, refused in refusals(run, run).items() if refused is None)
    for which, name in enumerate(("first", "second")):
        runs = [deepcopy(run), deepcopy(run)]
        case = next(case for case in runs[which]["cases"] if case["id"] == ok)
        case["audit"] = {**case["audit"], "identical": False}
        assert refusals(*runs)[ok] == f"the {name} run's case ended as: audit failed"
        case["audit"] = None
        assert refusals(*runs)[ok] == f"the {name} run's batches are not proven identical"


def test_other_digests_of_the_same_batches_are_refused(run):
    ok = next(id for id, refused in refusals(run, run).items() if refused is None)
    other = deepcopy(run)
    next(c for c in other["cases"] if c["id"] == ok)["audit"]["digest"] = "0" * 64
    assert refusals(run, other)[ok] == "the two runs audited different batches"


def test_unlike_runs_are_flagged(run):
    other = deepcopy(run)
    other["environment"]["cores"] = 64
    other["environment"]["packages"]["keras"] = "9.9"
    other["protocol"]["round_seconds"] = 7.0
    other["status"] = "interrupted"
    flags = pair_cases(parse_run(run), parse_run(other)).flags
    assert len(flags) == 5, "a round of training is as long as it was told to be too"
    assert any("cores" in flag and "64" in flag for flag in flags)
    assert any("keras" in flag and "9.9" in flag for flag in flags)


def test_cases_of_one_run_alone_are_named(run):
    other = deepcopy(run)
    gone = other["cases"].pop()["id"]
    assert pair_cases(parse_run(run), parse_run(other)).only_before == (gone,)
    assert pair_cases(parse_run(other), parse_run(run)).only_after == (gone,)


@pytest.fixture
def folders(tmp_path, run):
    """Two runs of nine rounds, of which the second is half as fast."""
    chance = np.random.default_rng(0)
    for name, faster in (("before", 1.0), ("after", 0.5)):
        copy = deepcopy(run)
        for case in copy["cases"]:
            if case["case"]["bench"] != "memory" and case["outcome"] == "ok":
                case["rounds"] = measured(chance, jax_like, faster=faster)["rounds"]
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(json.dumps(copy))
    return tmp_path / "before", tmp_path / "after"


def test_the_command_writes_the_comparison_and_its_exit_status_says_what_ci_needs(
    folders, tmp_path, capsys
):
    before, after = map(str, folders)
    output = tmp_path / "compare.md"
    assert main([before, after, "--output", str(output)]) == 0
    printed = capsys.readouterr().out
    assert printed == output.read_text()
    assert printed.startswith("# `before` against `after`\n")
    assert "| slower |" in printed
    assert main([before, after, "--fail-if", "slower=5%"]) == 1
    assert "slower by 5% or more: feed-" in capsys.readouterr().err
    allow = "--allow-unjudged"  # cases of this run failed
    assert main([before, after, "--fail-if", "slower=60%", allow]) == 0
    assert main([after, before, "--fail-if", "slower=5%", allow]) == 0
    assert main([before, before, "--fail-if", "slower=0%", allow]) == 0


def test_a_gate_that_could_not_judge_does_not_let_pass(run, tmp_path, capsys):
    """What was skipped or was to fail in both runs is no reason."""
    good, *rest = [c for c in run["cases"] if c["outcome"] == "ok" and c["case"]["bench"] == "feed"]
    skipped = rest[0] | {"id": "skipped", "outcome": "skipped"}
    known = rest[0] | {"id": "known", "known_failure": {"reason": "r", "link": "l"}}
    known["audit"] = known["audit"] | {"identical": False, "verdict": "other_order"}
    before = run | {"cases": [good, skipped, known], "probes": []}
    status = {}
    for name, cases in {
        "same": [good, skipped, known],
        "crashed": [good | {"outcome": "crashed"}, skipped, known],
        "missing": [skipped, known],
        "few": [good | {"rounds": good["rounds"][:1]}, skipped, known],
    }.items():
        for folder, content in (("before", before), (name, run | {"cases": cases, "probes": []})):
            (tmp_path / folder).mkdir(exist_ok=True)
            (tmp_path / folder / "run.json").write_text(json.dumps(content))
        folders = [str(tmp_path / "before"), str(tmp_path / name)]
        status[name] = main([*folders, "--fail-if", "slower=5%"])
        assert main([*folders, "--fail-if", "slower=5%", "--allow-unjudged"]) == 0
    assert status == {"same": 0, "crashed": 3, "missing": 3, "few": 3}
    said = capsys.readouterr().err
    assert f"not judged: {good['id']}: missing in the second run" in said
    assert f"not judged: {good['id']}: too few processes" in said


def test_what_cannot_be_compared_ends_with_a_sentence(folders, tmp_path, capsys):
    before, after = map(str, folders)
    assert main([before, str(tmp_path / "missing")]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    assert main([before, after, "--output", str(tmp_path / "missing" / "compare.md")]) == 2
    with pytest.raises(SystemExit, match="2"):
        main([before, after, "--output", "compare.txt"])
    assert "must end in .md or .html, got `compare.txt`" in capsys.readouterr().err
    for text in ("slower=5", "faster=5%", "slower=100%", "slower=-1%"):
        with pytest.raises(SystemExit, match="2"):
            main([before, after, "--fail-if", text])
        assert "must be `slower=` and a percentage below 100" in capsys.readouterr().err


def test_a_page_and_markdown_say_the_same_and_the_page_has_a_plot(folders, tmp_path):
    before, after = map(str, folders)
    files = [tmp_path / "compare.md", tmp_path / "compare.html"]
    assert main([before, after, *(w for file in files for w in ("--output", str(file)))]) == 0
    markdown, page = (file.read_text(encoding="utf-8") for file in files)
    assert "![" not in markdown
    assert page.count("<img") == 1
    assert page.count("<td>slower</td>") == markdown.count("| slower |") > 0
