"""Laws of how `bench.report` writes one value, a log and the table in the terminal."""

from __future__ import annotations

import pytest

from keras_loader_bench.bench.record.reader import parse_run
from keras_loader_bench.bench.report import terminal_table
from keras_loader_bench.bench.report.cells import (
    fence,
    fraction,
    link,
    mebibytes,
    ranges,
    rate,
    significant,
)

HOSTILE = "a|b `c` ```\n```\n<script>x</script> \x1b[31mred\x1b[0m \u202e"


@pytest.fixture
def run(whole_run):
    return whole_run


def speed_up(result, factor):
    for measured in result["rounds"]:
        measured["seconds"] /= factor
        measured["ceiling_seconds"] /= factor


@pytest.mark.parametrize("text", ["", "x", "```", "~~~\n`````\n", "a\x1b[2Jb\x00\r\nc\x07"])
def test_a_fence_is_longer_than_every_fence_in_it_and_holds_no_control_characters(text):
    opening, *body, closing = fence(text).split("\n")
    assert opening == f"{closing}text"
    assert all(closing not in line and (line.isprintable() or not line) for line in body)


@pytest.mark.parametrize("width", [60, 100])
@pytest.mark.parametrize("name", ["x", "a_rather_long_name_of_a_loader", "ü" * 200, HOSTILE])
@pytest.mark.parametrize("samples", [10, 10_000_000])
def test_no_line_in_the_terminal_is_too_long(run, width, name, samples):
    for number, result in enumerate(run["cases"]):
        result["case"] |= {"samples": samples, "batch_size": 8 * (number % 3 + 1)}
        if result["case"]["loader"] == "tf_data":
            result["case"]["loader"] = name
            result |= {"outcome": "killed", "error": {"type": "E", "message": "m" * 300}}
        else:
            speed_up(result, samples)
    lines = terminal_table(parse_run(run), width=width).split("\n")
    assert max(map(len, lines)) <= width
    assert all(line.isascii() and line.isprintable() for line in lines)


def test_long_names_shorten_and_figures_stay(run):
    for result in run["cases"]:
        result["case"]["loader"] += "_" * 100
    table = terminal_table(parse_run(run))
    assert "34.3k" in table
    assert "NO" in table


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (rate(38_149), "38.1k"),
        (rate(999.4), "999"),
        (rate(999.6), "1.00k"),
        (rate(1_234_567), "1,235k"),
        (significant(99.96), "100"),
        (significant(0.001234), "0.00123"),
        (significant(-12.34), "-12.3"),
        (significant(0), "0"),
        (fraction(-0.001), "0.00"),
        (fraction(-0.05), "-0.05"),
        (mebibytes(1200 * 2**20), "1,200"),
        (mebibytes(-(2**18)), "0"),
        (ranges([]), ""),
        (ranges([3, 54, 55, 56]), "3, 54-56"),
        (ranges(range(0, 100, 2)), "0, 2, 4, 6, 8, 10, 12, 14, ..."),
    ],
)
def test_numbers_are_written_with_the_digits_that_matter(written, expected):
    assert written == expected


@pytest.mark.parametrize(
    ("address", "written"),
    [
        ("https://example.org/a_b#c-d", "<https://example.org/a_b#c-d>"),
        ("results/README.md#workers", "`results/README.md#workers`"),
        ("javascript:alert(1)", "`javascript:alert(1)`"),
        ("https://example.org/> [x](y)", "`https://example.org/> [x](y)`"),
    ],
)
def test_only_a_web_address_becomes_a_link(address, written):
    assert link(address) == written
