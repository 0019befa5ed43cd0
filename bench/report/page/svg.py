"""Matplotlib's SVG as part of a page: in its colours, with a name, and with no style of its own.

Must not know: what is drawn.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from xml.etree import ElementTree

from keras_loader_bench.bench.report.plot_layout import GREY, GRID

_SVG = "http://www.w3.org/2000/svg"
_XLINK = "{http://www.w3.org/1999/xlink}href"

COLORS: Mapping[str, str] = MappingProxyType(
    {
        "#000000": "currentColor",
        "#333333": "currentColor",
        "#ffffff": "var(--paper)",
        GREY: "var(--muted)",
        GRID: "var(--grid)",
    }
)
"""Colour on white -> what stands for it in a page that may be dark. Loaders keep theirs."""

_LONG_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_REFERENCE = re.compile(r"url\(#([^)]+)\)")
_FONT = re.compile(r"(?:(?P<weight>bold|\d{3}) )?(?P<size>[\d.]+px) ")


def inline_svg(svg: str, *, key: str, title: str) -> str:
    """Return an SVG element to be put into HTML.

    Args:
        svg: a whole document, as Matplotlib writes it with `svg.fonttype` `none`.
        key: begins each id, so that those of several plots of a page stay apart.
        title: its accessible name.

    Returns:
        The element, without style attributes, which a strict policy forbids: they become
        presentation attributes. Numbers have two decimals, a hundredth of a point.
    """
    ElementTree.register_namespace("", _SVG)
    root = ElementTree.fromstring(svg)  # noqa: S314 - Matplotlib wrote it
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag in (f"{{{_SVG}}}metadata", f"{{{_SVG}}}style"):
                parent.remove(child)
    used = _references(root)
    for element in root.iter():
        _restyle(element)
        _rename(element, used, key)
    width, height = (
        f"{float(root.attrib[name].removesuffix('pt')) * 4 / 3:.0f}" for name in ("width", "height")
    )  # in CSS' pixels, of which there are 96 to the inch
    root.attrib |= {
        "role": "img",
        "aria-labelledby": f"{key}-title",
        "width": width,
        "height": height,
        "stroke-linejoin": "round",
        "stroke-linecap": "butt",
        "fill": "currentColor",
    }
    name = ElementTree.Element(f"{{{_SVG}}}title", {"id": f"{key}-title"})
    name.text = title
    root.insert(0, name)
    return ElementTree.tostring(root, encoding="unicode")


def _references(root: ElementTree.Element) -> set[str]:
    """Return the ids that anything refers to."""
    used = set()
    for element in root.iter():
        for name, value in element.attrib.items():
            if name == _XLINK:
                used.add(value.removeprefix("#"))
            used.update(_REFERENCE.findall(value))
    return used


def _restyle(element: ElementTree.Element) -> None:
    """Turn the style attribute into presentation attributes, and shorten numbers."""
    for declaration in element.attrib.pop("style", "").split(";"):
        name, _, value = (part.strip() for part in declaration.partition(":"))
        if name == "font":
            match = _FONT.match(value)
            assert match, value
            element.set("font-size", match["size"].removesuffix("px"))
            if match["weight"]:
                element.set("font-weight", match["weight"])
        elif name:
            element.set(name, COLORS.get(value, value))
    for name in ("d", "points", "transform", "x", "y", "width", "height"):
        if name in element.attrib:
            value = " ".join(element.attrib[name].split())
            element.set(name, _LONG_NUMBER.sub(lambda n: f"{float(n[0]):.2f}", value))
    if element.text is not None and not element.text.strip():
        element.text = None
    if element.tail is not None and not element.tail.strip():
        element.tail = None


def _rename(element: ElementTree.Element, used: set[str], key: str) -> None:
    """Let ids begin with the key; those that nothing refers to are left out."""
    own = element.attrib.pop("id", None)
    if own in used:
        element.set("id", f"{key}-{own}")
    if _XLINK in element.attrib:
        element.set("href", f"#{key}-{element.attrib.pop(_XLINK).removeprefix('#')}")
    for name, value in element.attrib.items():
        element.set(name, _REFERENCE.sub(rf"url(#{key}-\1)", value))
