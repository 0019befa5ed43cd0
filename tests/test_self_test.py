"""A run is cut into runs of the same code, and told how often these are said to differ."""

import json

import numpy as np
import pytest
from made_runs import raw_run

from keras_loader_bench.bench.compare.__main__ import main
from keras_loader_bench.bench.compare.self_test import advice, cut, cuts, self_test
from keras_loader_bench.bench.plan.case import CEILING, Case
from keras_loader_bench.bench.record.reader import parse_run
from keras_loader_bench.bench.record.schema import SCHEMA

OPTIONS = {"bench": "feed", "backend": "jax", "batch_size": 64, "pixels": "float32"}
AUDIT = {"verdict": "identical", "identical": True, "passes": [], "digest": "0" * 64}
DRIFT = 0.3
"""Over the whole run, of everything."""


def many(*, processes=30, between=0.05, ceilings=None):
    """Four cases with many processes; `ceilings` are how much slower those beside each are."""
    chance = np.random.default_rng(0)
    speeds = {"fast": 1.0, "slow": 0.5, "same": 1.0, CEILING: 2.0}
    cases = []
    for loader, speed in speeds.items():
        case = OPTIONS | {"loader": loader, "samples": 1000}
        slower = (ceilings or {}).get(loader, 1.0)
        found = []
        for number in range(1, processes + 1):
            level = 1 + DRIFT * number / processes
            seconds = level / speed * np.exp(chance.normal(0, between, 4))
            ceiling = level / 2 * slower * np.exp(chance.normal(0, between, 4))
            rounds = [
                {"samples": 1000, "seconds": s, "ceiling_seconds": c}
                for s, c in zip(seconds, ceiling, strict=True)
            ]
            found.append({"number": number, "outcome": "ok", "rounds": rounds})
        record = {"id": str(Case(**case)), "case": case, "outcome": "ok", "processes": found}
        cases.append(record | ({} if loader == CEILING else {"audit": AUDIT}))
    return raw_run(cases, schema=SCHEMA, protocol={"processes": processes, "rounds": 4})


def test_the_parts_are_runs_one_after_another():
    parts = cut(parse_run(many(processes=12)), 5)
    numbers = [[p.number for p in part.cases[0].processes] for part in parts]
    assert numbers == [[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]], "what is left is dropped"
    assert all(part.protocol.processes == 5 for part in parts)


def test_longer_runs_find_smaller_slowdowns():
    sizes = cuts(parse_run(many(processes=60, between=0.15)))
    found = [each for runs in sizes for each in self_test(runs)]
    assert [(each.passes, each.changed.of) for each in found] == [
        (5, 3 * 66),
        (10, 3 * 15),
        (20, 3 * 3),
    ]
    shares = [each.found[0.15].count / each.found[0.15].of for each in found]
    assert shares == sorted(shares)
    assert shares[-1] > 2 * shares[0]


def test_of_longer_runs_there_are_three_at_least():
    assert [len(runs) for runs in cuts(parse_run(many(processes=29)))] == [5]
    assert [len(runs) for runs in cuts(parse_run(many(processes=30)))] == [6, 3]


def test_equal_runs_seldom_differ_and_a_slowdown_is_found():
    (found,) = self_test(cut(parse_run(many())))
    assert (found.backend, found.bench) == ("jax", "feed")
    assert (found.apart.of, found.unsound.of) == (6 * 6, 6)
    assert found.changed.of == 3 * 15, "three loaders, in all pairs of six runs"
    assert found.changed.count <= 6, "5% of them, but pairs share runs"
    assert found.apart.count <= 6
    assert {slowdown: share.of for slowdown, share in found.found.items()} == dict.fromkeys(
        (0.15, 0.25, 0.5), 3 * 30
    )
    counts = [share.count for share in found.found.values()]
    assert counts == sorted(counts)
    assert counts[-1] == 90


def test_ceilings_that_are_not_the_same_are_called_apart():
    (found,) = self_test(cut(parse_run(many(ceilings={"slow": 1.5}))))
    assert found.apart.count >= 3 * 6, "the one beside `slow` and each of three others"
    (other,) = self_test(cut(parse_run(many(ceilings={CEILING: 1.5}))))
    assert other.unsound.count == 6


def test_ceilings_of_training_are_compared_without_their_start():
    run = many(ceilings={"slow": 1.5})
    for case in run["cases"]:
        for process in case["processes"]:
            for each in process["rounds"]:
                slower = 1.5 if case["case"]["loader"] == "slow" else 1.0
                each |= {"steady_samples": 900, "steady_seconds": each["seconds"]}
                each["ceiling_steady_seconds"] = each["ceiling_seconds"] / slower
    (found,) = self_test(cut(parse_run(run)))
    assert found.apart.count <= 6


def test_the_advice_of_each_part_is_counted():
    (found,) = advice(cut(parse_run(many())))
    assert found.place == "jax, batch size 64, float32"
    assert sum(count for _, count in found.answers) == 6
    assert found.answers[0] == ("fast or same", 6)


def test_the_command_prints_tables(tmp_path, capsys):
    (tmp_path / "run.json").write_text(json.dumps(many()))
    output = tmp_path / "self-test.md"
    assert main(["--self-test", str(tmp_path), "--output", str(output)]) == 0
    printed = capsys.readouterr().out
    assert printed == output.read_text()
    assert "one after another in time, 6 with 5 passes, 3 with 10 passes." in printed
    lines = [line for line in printed.splitlines() if line.startswith("| jax | feed |")]
    assert [line.split("|")[3].strip() for line in lines] == ["5", "10"]
    assert all(line.count("|") == 10 for line in lines)
    assert "- jax, batch size 64, float32: `fast or same` (6)" in printed


def test_too_few_processes_are_refused_with_the_remedy(tmp_path, capsys):
    (tmp_path / "run.json").write_text(json.dumps(many(processes=5)))
    assert main(["--self-test", str(tmp_path)]) == 2
    assert "have 5 processes; a self-test needs 10 or more" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["a"], ["a", "b", "--self-test"]])
def test_one_run_is_tested_and_two_are_compared(arguments, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert "give two runs to compare, or one with --self-test" in capsys.readouterr().err


@pytest.mark.parametrize("gate", [["--fail-if", "slower=5%"], ["--allow-unjudged"]])
def test_a_self_test_is_no_gate(gate, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["a", "--self-test", *gate])
    assert "remove --fail-if" in capsys.readouterr().err
