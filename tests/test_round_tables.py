"""Rounds are tables in `run.json`, and lists of records for everybody else."""

import json

import pytest
from made_runs import raw_run

from keras_loader_bench.bench.record.reader import RunFileError, parse_run
from keras_loader_bench.bench.record.round_tables import from_tables, to_tables

ROUNDS = [{"samples": 100, "seconds": 0.5}, {"samples": 100, "seconds": 0.25, "cpu_seconds": 1.0}]
COLUMNS = ["samples", "seconds", "cpu_seconds"]
TABLE = {"columns": COLUMNS, "rows": [[100, 0.5, None], [100, 0.25, 1.0]]}


def run_with(rounds):
    options = {"backend": "jax", "batch_size": 32, "pixels": "float32", "samples": 100}
    case = options | {"bench": "feed", "loader": "numpy"}
    ranks = [{"rank": 0, "rounds": rounds}]
    process = {"number": 1, "outcome": "ok", "rounds": rounds, "ranks": ranks}
    record = {"id": "feed-x", "case": case, "outcome": "ok", "processes": [process]}
    return raw_run([record], schema=10)


def test_a_table_names_its_columns_once():
    written = to_tables(run_with(ROUNDS))
    (process,) = written["cases"][0]["processes"]
    assert process["rounds"] == process["ranks"][0]["rounds"] == TABLE
    assert isinstance(written["protocol"].get("rounds", 0), int), "the number of rounds is none"


@pytest.mark.parametrize("rounds", [ROUNDS, TABLE])
def test_both_forms_are_read_alike(rounds):
    (process,) = parse_run(run_with(rounds)).cases[0].processes
    assert [each.seconds for each in process.rounds] == [0.5, 0.25]
    assert [each.cpu_seconds for each in process.rounds] == [None, 1.0]
    assert process.ranks[0].rounds == process.rounds


def test_nothing_else_changes():
    whole = {"rounds": [], "a": [{"rounds": 3}, {"b": [1, None, "rounds"]}], "c": {"rounds": None}}
    assert to_tables(whole) == from_tables(whole) == whole
    run = run_with(ROUNDS)
    there_and_back = from_tables(json.loads(json.dumps(to_tables(run))))
    assert parse_run(there_and_back) == parse_run(run)


@pytest.mark.parametrize("rows", [[[100, 0.5]], [[100, 0.5, None, 1]], "none", [7]])
def test_a_broken_table_is_named(rows):
    with pytest.raises(RunFileError, match=r"cases\[0\]\.processes\[0\]\.rounds"):
        parse_run(run_with({**TABLE, "rows": rows}))
