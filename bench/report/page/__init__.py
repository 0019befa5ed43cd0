"""Turns a Markdown report into one self-contained HTML page: no network, no other files.

The page has the text of the Markdown report, embedded plots and sortable tables. Untrusted text is
already escaped in the Markdown, `markdown-it` passes no HTML through, and what the page adds goes
through Jinja's autoescape. Its Content Security Policy blocks everything else.
"""

from __future__ import annotations

import base64
import hashlib
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import jinja2
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup
from PIL import Image

from keras_loader_bench.bench.report.plots.plot_layout import DPI

_FOLDER = Path(__file__).parent
_STYLE = (_FOLDER / "page.css").read_text(encoding="utf-8")
_SCRIPT = (_FOLDER / "page.js").read_text(encoding="utf-8")

_UNBROKEN = re.compile(r"(\([^()]*\),?|[★☆] \S+)")
"""Parts of a number's cell that stay on one line: an interval; a mark and its number."""

_OPEN, _CLOSE = '<span class="unbroken">', "</span>"

_CSS_DPI = 96
"""CSS pixels per inch."""


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A plot to embed in a page."""

    png: bytes
    """The image, with `DPI` dots per inch."""

    caption: str
    """What it shows; also its accessible name."""


def html_page(markdown: str, plots: Mapping[str, Plot], *, files: Sequence[str] = ()) -> str:
    """Render a report as a page.

    Args:
        markdown: the report. Its first heading is the title. A paragraph that consists of an
            image named in `plots` is replaced by that plot.
        plots: the plots by the name of their image file.
        files: names of data files in the same folder, to be linked.

    Returns:
        HTML5 that ends with one line break.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(markdown)
    title = next((t.content for b, t in _headings(tokens) if b.tag == "h1"), "Report")
    sections = []
    for opening, text in _headings(tokens):
        if opening.tag == "h2":
            sections.append((_anchor(_plain(text)), _plain(text)))
            opening.attrSet("id", sections[-1][0])
    tokens = list(_with_tables(_with_plots(tokens, plots)))
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FOLDER),
        autoescape=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    return environment.get_template("page.html.j2").render(
        # The parser escapes all text and links only to safe addresses.
        body=Markup(parser.renderer.render(tokens, parser.options, {})),  # noqa: S704
        title=title,
        sections=sections,
        files=files,
        style=Markup(_STYLE),  # noqa: S704 - files of this package
        script=Markup(_SCRIPT),  # noqa: S704
        style_hash=_hash(_STYLE),
        script_hash=_hash(_SCRIPT),
    )


def _hash(text: str) -> str:
    """Return the `hash-source` that allows an inline element in a Content Security Policy."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _headings(tokens: Sequence[Token]) -> Iterable[tuple[Token, Token]]:
    """Yield the opening token and the text of each heading."""
    for opening, text in pairwise(tokens):
        if opening.type == "heading_open":
            yield opening, text


def _anchor(heading: str) -> str:
    """Return the anchor that GitHub gives a heading, so that links within a report work."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def _plain(text: Token) -> str:
    return "".join(child.content for child in text.children or ())


def _with_plots(tokens: Sequence[Token], plots: Mapping[str, Plot]) -> Iterable[Token]:
    """Replace paragraphs that consist of a plot's image by that plot."""
    position = 0
    while position < len(tokens):
        name = _image(tokens, position)
        if name is not None and name in plots:
            yield _html(_figure(name, plots[name]))
            position += 3
        else:
            yield tokens[position]
            position += 1


def _image(tokens: Sequence[Token], position: int) -> str | None:
    """Return the address of the image if the paragraph at `position` consists of one."""
    if tokens[position].type != "paragraph_open":
        return None
    children = tokens[position + 1].children or []
    if len(children) != 1 or children[0].type != "image":
        return None
    return str(children[0].attrs["src"])


def _figure(name: str, plot: Plot) -> str:
    key = name.partition(".")[0]
    caption = Markup.escape(plot.caption)
    with Image.open(io.BytesIO(plot.png)) as image:
        width, height = (round(pixels * _CSS_DPI / DPI) for pixels in image.size)
    data = base64.b64encode(plot.png).decode()
    return (
        f'<figure id="plot-{key}">\n'
        f'<div class="scroll" role="group" tabindex="0" aria-label="Plot: {caption}">\n'
        f'<img alt="{caption}" width="{width}" height="{height}" '
        f'src="data:image/png;base64,{data}">\n</div>\n'
        f"<figcaption>{caption}</figcaption>\n</figure>\n"
    )


def _with_tables(tokens: Iterable[Token]) -> Iterable[Token]:
    """Wrap each table so that it can scroll, and turn the alignment of cells into a class.

    The page's policy forbids style attributes.
    """
    heading = "Table"
    previous = None
    for token in tokens:
        if previous is not None and previous.attrs.get("class") == "number":
            token.children = list(_unbroken(token.children or ()))
        if previous is not None and previous.type == "heading_open":
            heading = _plain(token)
        previous = token
        if token.type in ("th_open", "td_open"):
            style = str(token.attrs.pop("style", ""))
            if style.endswith("right"):
                token.attrSet("class", "number")
            if token.type == "th_open":
                token.attrSet("scope", "col")
        if token.type == "table_open":
            label = Markup.escape(f"Table: {heading}")
            yield _html(f'<div class="scroll" role="group" tabindex="0" aria-label="{label}">\n')
        yield token
        if token.type == "table_close":
            yield _html("</div>\n")


def _unbroken(children: Iterable[Token]) -> Iterable[Token]:
    """Keep parts of a number's cell on one line each, so that the column can be narrow."""
    for child in children:
        if child.type != "text":
            yield child
            continue
        for number, text in enumerate(_UNBROKEN.split(child.content)):
            part = Token("text", "", 0, content=text)
            inside = number % 2 == 1  # what the pattern's group matched
            yield from (_html(_OPEN), part, _html(_CLOSE)) if inside else (part,)


def _html(text: str) -> Token:
    return Token("html_block", "", 0, content=text)
