"""Parts of a run between markers are refreshed in place, all of them or none."""

from __future__ import annotations

import json
import os

import pytest
from conftest import INVENTED_RUN

from keras_loader_bench.bench.report import read_run
from keras_loader_bench.bench.report.__main__ import main
from keras_loader_bench.bench.report.excerpts.markers import MarkerError, refreshed
from keras_loader_bench.bench.report.excerpts.run_excerpts import EXCERPTS


@pytest.fixture
def folder(whole_run, tmp_path):
    (tmp_path / "results" / "a").mkdir(parents=True)
    (tmp_path / "results" / "a" / "run.json").write_text(json.dumps(whole_run))
    return tmp_path


def test_a_part_on_lines_of_its_own_and_one_in_a_sentence(folder):
    text = (
        "# Mine\n\n<!-- bench:comparison results/a -->\nold\n<!-- /bench -->\n\n"
        "So: <!-- bench:sizes results/a -->old<!-- /bench --> And on.\n"
    )
    new = refreshed(text, folder)
    assert "old" not in new
    assert "<!-- bench:comparison results/a -->\n| backend | loader |" in new
    assert "|\n<!-- /bench -->\n\nSo: <!-- bench:sizes results/a --><!-- /bench --> And on." in new
    assert new.endswith("<!-- /bench --> And on.\n")
    assert refreshed(new, folder) == new


@pytest.mark.long
def test_a_marker_without_a_run_takes_the_one_of_the_command_line(folder, capsys):
    file = folder / "README.md"
    file.write_text("<!-- bench:plot rates -->\n<!-- /bench -->\n")
    assert main([str(folder / "results" / "a"), "--into", str(file)]) == 0
    assert "![Feed and training rate of each loader](results/a/rates.png)" in file.read_text()
    assert capsys.readouterr().out.endswith("README.md: refreshed\n")
    assert main([str(folder / "results" / "a"), "--into", str(file)]) == 0
    assert capsys.readouterr().out.endswith("README.md: up to date\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nothing", "There is no marker"),
        ("<!-- bench:comparison results/a -->", "close each"),
        ("<!-- bench:comparison results/a --><!-- /bench --><!-- /bench -->", "close each"),
        (
            "<!-- bench:nonsense results/a --><!-- /bench -->",
            "unknown part `nonsense`; choose from",
        ),
        ("<!-- bench:comparison --><!-- /bench -->", "names no run"),
        (
            "<!-- bench:plot results/a nonsense --><!-- /bench -->",
            "unknown plot `nonsense`; choose",
        ),
        ("<!-- bench:plot results/a --><!-- /bench -->", "missing 1 required"),
        ("<!-- bench:plot results/b rates --><!-- /bench -->", "does not exist"),
        ("<!-- bench:plot results/a rates --><!-- /bench -->", "begins a line"),
    ],
)
def test_what_cannot_be_filled_changes_nothing(folder, capsys, text, message):
    file = folder / "README.md"
    good = "<!-- bench:plot results/a rates -->\nold\n<!-- /bench -->\n"
    text = text if text == "nothing" else good + text
    file.write_text(text)
    assert main(["--into", str(file)]) == 2
    assert message in capsys.readouterr().err
    assert file.read_text() == text


def test_without_anything_to_do_the_command_says_what_it_wants(capsys):
    with pytest.raises(SystemExit, match="2"):
        main([])
    assert "name a run_folder, --into FILE or --readme" in capsys.readouterr().err


def test_the_pages_of_a_checkout_are_refreshed_at_once(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    (folder / "README.md").write_text("<!-- bench:plot results/a rates -->\n<!-- /bench -->\n")
    assert main(["--readme"]) == 0
    assert capsys.readouterr().out == "README.md: refreshed\n"
    findings = folder / "results" / "findings.md"
    findings.write_text("<!-- bench:plot ./a rates -->\n<!-- /bench -->\n")
    assert main(["--readme"]) == 0
    assert capsys.readouterr().out == "README.md: up to date\nresults/findings.md: refreshed\n"
    assert "](a/rates.png)" in findings.read_text()


def test_markers_in_code_are_only_shown(folder):
    code = "```markdown\n<!-- bench:comparison -->\n<!-- /bench -->\n```\n"
    text = f"{code}\n<!-- bench:plot results/a rates -->\n<!-- /bench -->\n\n{code}"
    new = refreshed(text, folder)
    assert new.count(code) == 2
    assert "rates.png" in new


def test_hostile_text_does_not_end_a_part(folder, whole_run):
    whole_run["environment"]["cpu"] = "<!-- /bench --> <script>"
    (folder / "results" / "a" / "run.json").write_text(json.dumps(whole_run))
    new = refreshed("On <!-- bench:setup results/a --><!-- /bench -->", folder)
    assert new.count("<!-- /bench -->") == 1
    assert "<script>" not in new


@pytest.mark.parametrize(
    "part", ["recommendation", "comparison", "findings", "setup", "warnings", "workers"]
)
def test_every_part_that_needs_no_word_says_something(folder, part):
    marker = f"<!-- bench:{part} results/a -->"
    assert len(refreshed(f"{marker}\n<!-- /bench -->", folder)) > len(marker) + 60


def test_a_link_within_the_report_leads_there(folder):
    text = refreshed("<!-- bench:findings results/a -->\n<!-- /bench -->", folder)
    assert "[audit](results/a/report.md#audit)" in text
    assert "](#" not in text


def test_every_part_says_what_it_is():
    assert all(function.__doc__ for function in EXCERPTS.values())


def test_an_unreadable_file_ends_with_a_sentence(folder, capsys):
    assert main(["--into", os.fspath(folder / "missing.md")]) == 2
    assert capsys.readouterr().err.startswith("error: ")
    with pytest.raises(MarkerError):
        refreshed("", folder)


def test_the_warnings_of_a_run_are_those_of_its_report():
    run = read_run(INVENTED_RUN)
    text = EXCERPTS["warnings"](run, "results/a")
    report = (INVENTED_RUN / "report.md").read_text(encoding="utf-8")
    section = report.partition("## What disturbed the rounds")[2].partition("\n## ")[0]
    summaries = [line.split("**")[1].rstrip(".") for line in section.splitlines() if "**" in line]
    assert summaries
    assert all(summary in text for summary in summaries)
    assert "(results/a/report.md#what-disturbed-the-rounds)" in text
