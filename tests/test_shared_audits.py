"""An audit that several cases share stands in `run.json` once; whoever reads it gets it of each."""

import json

import pytest
from made_runs import raw_run

from keras_loader_bench.bench.record.reader import RunFileError, parse_run
from keras_loader_bench.bench.record.shared_audits import full_audits, name_audits

AUDIT = {"identical": True, "verdict": "identical", "digest": "ab", "passes": [], "case": "feed-x"}
OTHER = AUDIT | {"digest": "cd"}


def run_with(*audits):
    options = {"backend": "jax", "batch_size": 32, "pixels": "float32", "samples": 100}
    cases = []
    for name, audit in zip(("feed-x", "train-x", "memory-x", "feed-y"), audits, strict=False):
        case = options | {"bench": name.partition("-")[0], "loader": "numpy"}
        cases.append({"id": name, "case": case, "outcome": "ok", "processes": [], "audit": audit})
    return raw_run(cases, schema=11)


def audits_of(run):
    return [case["audit"] for case in run["cases"]]


def test_a_case_names_the_first_one_that_has_its_audit():
    whole = run_with(AUDIT, AUDIT, OTHER, AUDIT)
    written = name_audits(whole)
    assert audits_of(written) == [AUDIT, "feed-x", OTHER, "feed-x"]
    assert audits_of(whole) == [AUDIT, AUDIT, OTHER, AUDIT], "what is in memory stays"
    there_and_back = full_audits(json.loads(json.dumps(written)))
    assert there_and_back == whole


def test_both_forms_are_read_alike():
    whole = run_with(AUDIT, AUDIT, OTHER, None)
    assert parse_run(name_audits(whole)) == parse_run(whole)
    first, second, third, fourth = (case.audit for case in parse_run(name_audits(whole)).cases)
    assert first == second != third
    assert fourth is None


@pytest.mark.parametrize("audit", ["nobody", "feed-x", 7])
def test_an_audit_that_is_none_is_named(audit):
    """`feed-x` names itself here."""
    with pytest.raises(RunFileError, match=r"cases\[0\]\.audit"):
        parse_run(run_with(audit))


@pytest.mark.parametrize("run", [[], {}, {"cases": 3}, {"cases": [None, {"audit": AUDIT}]}])
def test_what_has_another_form_stays(run):
    assert full_audits(run) == run
