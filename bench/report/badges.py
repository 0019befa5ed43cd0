"""Badges: what a run found, in two words each, as SVG files for a README.

Must not know: files, how figures are derived.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2

from keras_loader_bench.bench.report import cells
from keras_loader_bench.bench.report.recommend import recommend
from keras_loader_bench.bench.report.rows import Row, not_skipped

GOOD, PLAIN, BAD = "#1a7f37", "#0b5cad", "#b3261e"
"""Colours on which white text has a contrast of 4.5 or more."""

_WIDTH_OF_CHARACTER = 6.6
"""Of a mean character of 11 px Verdana, in px; the text is fitted into the sum."""


@dataclass(frozen=True, kw_only=True)
class Badge:
    """One badge."""

    label: str
    value: str
    color: str

    def svg(self) -> str:
        """Return it as an SVG document."""
        widths = [round(len(t) * _WIDTH_OF_CHARACTER) + 12 for t in (self.label, self.value)]
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(Path(__file__).parent),
            autoescape=True,
            keep_trailing_newline=True,
        )
        return environment.get_template("badge.svg.j2").render(
            badge=self, left=widths[0], right=widths[1]
        )


def report_badges(rows: Sequence[Row]) -> dict[str, str]:
    """Return the badges of a run.

    Args:
        rows: what `rows_from_run` returned.

    Returns:
        Name -> SVG: `batches`, whether all are identical, known failures apart; and `loader` and
        `footprint`, the one that is recommended and its memory, where that is one for all options.
    """
    badges = {}
    audited = [row for row in not_skipped(rows) if row.identical is not None]
    if audited:
        wrong = [row for row in audited if not row.identical and row.known_failure is None]
        text = f"{len(wrong)} of {len(audited)} differ" if wrong else "identical"
        badges["batches"] = Badge(label="batches", value=text, color=BAD if wrong else GOOD)
    found = [each.row for each in recommend(rows) if each.row is not None]
    if len({row.label for row in found}) == 1:
        badges["loader"] = Badge(label="use", value=cells.plain(found[0].label), color=PLAIN)
        sizes = [size for row in found if (size := row.footprint_bytes) is not None]
        if sizes:
            text = f"{cells.mebibytes(max(sizes))} MiB"
            badges["footprint"] = Badge(label="footprint", value=text, color=PLAIN)
    return {name: badge.svg() for name, badge in badges.items()}
