"""What the README and the committed reports claim is what was measured."""

import re
import shutil

import pytest
from conftest import PROJECT

from bench.report import read_run, write_report
from bench.report.cells import fraction, interval, mebibytes, rate
from bench.report.rows import rows_from_run
from loaders import LOADERS

REFERENCE = PROJECT / "results" / "reference"
REPORTS = sorted(path.parent for path in REFERENCE.glob("*/*/run.json"))
TABLE = REFERENCE / "amd-epyc-2-cores" / "cifar10"
README = (PROJECT / "README.md").read_text()


def readme_table() -> list[str]:
    """The README's table, as the reference report has it."""
    lines = [
        "| loader | feed rate (samples/s) | AU of feed | training rate (samples/s) "
        "| footprint (MiB) | batches identical |",
        "|:--|--:|--:|--:|--:|:--|",
    ]
    for row in rows_from_run(read_run(TABLE)):
        if row.batch_size == 64:
            cells = [
                f"`{row.loader}`",
                interval(row.feed.rate, rate),
                interval(row.feed.utilization, fraction),
                interval(row.train.rate, rate),
                mebibytes(row.memory.footprint_bytes),
                "yes" if row.identical else "no",
            ]
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def test_the_readmes_table_is_the_reference_reports():
    assert "\n".join(readme_table()) in README


@pytest.mark.parametrize(
    "folder", REPORTS, ids=lambda folder: f"{folder.parent.name}/{folder.name}"
)
def test_a_committed_report_is_what_its_run_says(folder, tmp_path):
    shutil.copy(folder / "run.json", tmp_path)
    write_report(tmp_path)
    for name in ("report.md", "summary.csv"):
        assert (tmp_path / name).read_text() == (folder / name).read_text()


def test_there_are_reference_reports():
    assert TABLE in REPORTS
    assert len(REPORTS) >= 2


def test_the_reference_has_every_loader_and_all_batches_are_identical():
    rows = rows_from_run(read_run(TABLE))
    assert {row.loader for row in rows} == set(LOADERS)
    assert all(row.identical for row in rows)


@pytest.mark.parametrize("option", sorted(set(re.findall(r"`(--[a-z-]+)", README))))
def test_every_option_that_the_readme_names_exists(option):
    known = (PROJECT / "bench" / "options.py").read_text()
    assert f'"{option}"' in known or option.startswith("--benchmark-")


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#]+)\)", README))))
def test_every_link_of_the_readme_leads_somewhere(link):
    assert (PROJECT / link).exists()
