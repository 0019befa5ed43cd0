"""Runs that tests make up: raw values as a file has them, and the typed records of these."""

from keras_loader_bench.bench.record.reader import parse_run


def raw_run(cases=(), **parts) -> dict:
    """The content of a `run.json` of schema 5, in which a case is one process."""
    empty = {"schema": 5, "status": "complete", "protocol": {}, "sources": [], "probes": []}
    return empty | {"environment": {}, "cases": list(cases)} | parts


def case_record(raw: dict):
    """The record of one case."""
    return parse_run(raw_run([raw])).cases[0]
