"""Laws of the report's section on the audit, on an invented run."""

from __future__ import annotations

import pytest

from keras_loader_bench.bench.record.reader import parse_run
from keras_loader_bench.bench.report.figures.endings import endings
from keras_loader_bench.bench.report.figures.rows import rows_from_run
from keras_loader_bench.bench.report.report_markdown import report_markdown
from keras_loader_bench.bench.report.sections.audit_section import (
    audit_blocks,
    audit_summary,
    what_identical_means,
)


@pytest.fixture
def run(whole_run):
    return whole_run


def on_backend(run, backend):
    return [result for result in run["cases"] if result["case"]["backend"] == backend]


def test_an_audit_without_failures_takes_one_line(run):
    rows = [row for row in rows_from_run(parse_run(run)) if row.identical]
    passes = "fit, epoch 1; fit, epoch 2; evaluate; predict"
    line = f"All 7 audited rows are identical to the reference in every pass: {passes}."
    assert (audit_summary(rows), audit_blocks(rows)) == ([line], [])


def test_identical_says_what_was_compared(run):
    rows = rows_from_run(parse_run(run))
    assert what_identical_means(rows) == "", "older audits took no fingerprint"
    result = next(r for r in run["cases"] if r["outcome"] == "ok")
    whole = {"name": "whole", "verdict": "identical", "compared": "fingerprint"}
    counts = {"expected_batches": 782, "batches": 782, "samples": 50, "expected_samples": 50}
    result["audit"]["passes"].append(whole | counts)
    said = what_identical_means(rows_from_run(parse_run(run)))
    assert "every batch of an epoch by fingerprint, the first 65 of each other pass" in said
    assert said in report_markdown(parse_run(run), rows_from_run(parse_run(run)), [], plots=[])


def test_rows_that_fail_in_the_same_way_are_told_once(run):
    known, _ = audit_blocks(rows_from_run(parse_run(run)))
    assert known.heading == "`stock_sequence (2 workers)` (jax; torch): 11 of 65 missing (known)"
    result = next(r for r in on_backend(run, "torch") if r["outcome"] == "audit_failed")
    result["audit"]["passes"][2]["missing_batches"] = [3]
    jax, _, torch = audit_blocks(rows_from_run(parse_run(run)))
    assert jax.known
    assert torch.heading.endswith("(torch): 11 of 65 missing (known)")
    assert torch.known is None  # the reason is the same, and stands above


def test_the_audit_tells_each_pass_with_what_is_missing_and_by_how_much_values_differ(run):
    result = next(r for r in on_backend(run, "jax") if r["outcome"] == "audit_failed")
    result["audit"]["passes"][3] |= {"verdict": "other_values", "max_ulps": 1234}
    block = audit_blocks(rows_from_run(parse_run(run)))[0]
    lines = [dict(zip(block.headings, line, strict=True)) for line in block.table]
    assert [line["verdict"] for line in lines[:2]] == ["missing or repeated", "other order"]
    assert (lines[0]["missing"], lines[0]["repeated"]) == ("11: 54-64", "11: 1-11")
    assert lines[3]["largest difference (ULP)"] == "1,234"


def test_a_known_failure_that_did_not_happen_is_named(run):
    for result in run["cases"]:
        if result["case"]["loader"] == "numpy":
            result["known_failure"] = {"reason": "r", "link": "l"}
    assert (
        "Expected to fail, but identical: `numpy` (tensorflow)."
        in audit_summary(rows_from_run(parse_run(run)))[1]
    )


def test_the_log_of_a_failure_is_shown_unless_it_was_expected(run):
    for result in run["cases"]:
        if result["outcome"] == "audit_failed":
            difference = result["audit"]["first_difference"]
            result["error"] = {"type": "AuditFailed", "message": difference, "log_tail": "log"}
    shown = {ending.id.split("-")[2]: ending for ending in endings(parse_run(run))}
    assert "End of the log" in shown["wrong_dtype"].blocks
    assert not shown["stock_sequence"].blocks
    assert shown["stock_sequence"].message == ""  # it says no more than the difference
