"""The summary of a GitHub Actions step: appended where there is one, never larger than allowed."""

import pytest

from keras_loader_bench.bench.report.github_summary import (
    LIMIT_BYTES,
    VARIABLE,
    append_step_summary,
)

REPORT = "# Report\n\n![rates](rates.png)\n\nline\n"


@pytest.fixture
def summary(tmp_path):
    return tmp_path / "summary.md"


def test_a_report_is_appended_without_its_images(summary):
    summary.write_text("before\n")
    append_step_summary(REPORT, {VARIABLE: str(summary)})
    assert summary.read_text() == "before\n# Report\n\n\nline\n"


@pytest.mark.parametrize("environ", [{}, {VARIABLE: ""}])
def test_elsewhere_nothing_is_written(tmp_path, monkeypatch, environ):
    monkeypatch.chdir(tmp_path)
    append_step_summary(REPORT, environ)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("there", [0, 1000, LIMIT_BYTES - 500, LIMIT_BYTES - 10, LIMIT_BYTES + 1])
def test_what_does_not_fit_is_cut_at_a_line_with_a_note(summary, there):
    summary.write_bytes(b"x" * there)
    append_step_summary("ä line of 22 bytes äö\n" * 100_000, {VARIABLE: str(summary)})
    text = summary.read_bytes()[there:].decode()  # no character is cut in two
    assert there + len(text.encode()) <= max(LIMIT_BYTES, there)
    if there < LIMIT_BYTES - 200:
        assert text.endswith("The whole report is among the run's files.*\n")
        assert set(text.splitlines()[:-3]) == {"ä line of 22 bytes äö"}
