"""Makes badges, small SVG images for a README that state a result of a run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2

from keras_loader_bench.bench.plan.remedies import NONE
from keras_loader_bench.bench.report import cells
from keras_loader_bench.bench.report.figures.rows import Row, not_skipped
from keras_loader_bench.bench.report.recommend import recommend

GOOD, PLAIN, BAD = "#1a7f37", "#0b5cad", "#b3261e"
"""Background colours on which white text has a contrast of at least 4.5."""

BADGES = ("batches", "loader", "footprint")

_WIDTH_OF_CHARACTER = 6.6
"""Mean width of a character of 11 px Verdana, in px; the text is fitted to the total."""


@dataclass(frozen=True, kw_only=True)
class Badge:
    """One badge."""

    label: str
    value: str
    color: str

    def svg(self) -> str:
        """Return the badge as an SVG document."""
        widths = [round(len(t) * _WIDTH_OF_CHARACTER) + 12 for t in (self.label, self.value)]
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(Path(__file__).parent),
            autoescape=True,
            keep_trailing_newline=True,
            undefined=jinja2.StrictUndefined,
        )
        return environment.get_template("badge.svg.j2").render(
            badge=self, left=widths[0], right=widths[1]
        )


def report_badges(rows: Sequence[Row]) -> dict[str, str]:
    """Return the badges of a run.

    Args:
        rows: the result of `rows_from_run`.

    Returns:
        SVG documents by name, at most those of `BADGES`. `batches` says whether all batches are
        identical, known failures and remedies on trial aside. `loader` and `footprint` exist only
        if one loader is recommended for all options; not for inputs, which are no loaders.
    """
    badges = {}
    own = [row for row in not_skipped(rows) if row.remedy == NONE]
    audited = [row for row in own if row.identical is not None]
    if audited:
        wrong = [row for row in audited if not row.identical and row.known_failure is None]
        text = f"{len(wrong)} of {len(audited)} differ" if wrong else "identical"
        badges["batches"] = Badge(label="batches", value=text, color=BAD if wrong else GOOD)
    answers = [] if any(row.pixels == "own" for row in own) else recommend(rows)
    found = [each.row for each in answers if each.row is not None and not each.equals]
    if len(found) == len(answers) and len({row.label for row in found}) == 1:
        badges["loader"] = Badge(label="use", value=cells.plain(found[0].label), color=PLAIN)
        sizes = [size for row in found if (size := row.footprint_bytes) is not None]
        if sizes:
            text = f"{cells.mebibytes(max(sizes))} MiB"
            badges["footprint"] = Badge(label="footprint", value=text, color=PLAIN)
    return {name: badge.svg() for name, badge in badges.items()}
