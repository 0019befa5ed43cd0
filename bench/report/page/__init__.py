"""A report as one HTML page that needs nothing else: no network, no files beside it, no script.

The text is that of the Markdown report, so that both say the same; the page adds plots that follow
light and dark mode, and tables that sort. Everything in the Markdown that came from elsewhere is
escaped there already, and `markdown-it` lets no HTML through; what the page adds itself passes
Jinja's autoescape. A policy in its head forbids whatever is not part of it.
Must not know: runs, figures, files.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import jinja2
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup

from keras_loader_bench.bench.report.page.svg import inline_svg

_FOLDER = Path(__file__).parent
_STYLE = (_FOLDER / "page.css").read_text(encoding="utf-8")
_SCRIPT = (_FOLDER / "page.js").read_text(encoding="utf-8")


@dataclass(frozen=True, kw_only=True)
class Plot:
    """A plot for a page."""

    svg: str
    """As Matplotlib writes it, its text as text."""

    caption: str
    """What it shows."""


def html_page(markdown: str, plots: Mapping[str, Plot], *, files: Sequence[str] = ()) -> str:
    """Return a page.

    Args:
        markdown: a report; its first heading is the title. A line that is an image named in
            `plots` becomes that plot.
        plots: name of an image file -> the plot.
        files: names of files beside the page that hold the data, to be linked.

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
        loader=jinja2.FileSystemLoader(_FOLDER), autoescape=True, keep_trailing_newline=True
    )
    return environment.get_template("page.html.j2").render(
        # The parser escapes all text, and makes links of safe addresses only.
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
    """Return how a Content Security Policy names an inline element; see its `hash-source`."""
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _headings(tokens: Sequence[Token]) -> Iterable[tuple[Token, Token]]:
    """Return each heading's opening and its text."""
    for opening, text in pairwise(tokens):
        if opening.type == "heading_open":
            yield opening, text


def _anchor(heading: str) -> str:
    """Return the address of a section, as GitHub makes it, so that links within a report work."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def _plain(text: Token) -> str:
    return "".join(child.content for child in text.children or ())


def _with_plots(tokens: Sequence[Token], plots: Mapping[str, Plot]) -> Iterable[Token]:
    """Put plots where paragraphs of nothing but their image stand."""
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
    """Return the address of the only image of the paragraph that begins here."""
    if tokens[position].type != "paragraph_open":
        return None
    children = tokens[position + 1].children or []
    if len(children) != 1 or children[0].type != "image":
        return None
    return str(children[0].attrs["src"])


def _figure(name: str, plot: Plot) -> str:
    key = name.partition(".")[0]
    caption = Markup.escape(plot.caption)
    return (
        f'<figure id="plot-{key}">\n'
        f'<div class="scroll" role="group" tabindex="0" aria-label="Plot: {caption}">\n'
        f"{inline_svg(plot.svg, key=key, title=plot.caption)}\n</div>\n"
        f"<figcaption>{caption}</figcaption>\n</figure>\n"
    )


def _with_tables(tokens: Iterable[Token]) -> Iterable[Token]:
    """Let wide tables scroll by themselves, and name their alignment by a class.

    A style at an element would be against the page's policy.
    """
    heading = "Table"
    previous = None
    for token in tokens:
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


def _html(text: str) -> Token:
    return Token("html_block", "", 0, content=text)
