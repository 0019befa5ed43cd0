"""The HTML page: self-contained, with its plots inside; hostile text stays text."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import shutil
from html.parser import HTMLParser

import pytest
from conftest import INVENTED_RUN
from PIL import Image

from keras_loader_bench.bench.report import write_report
from keras_loader_bench.bench.report.page import Plot, html_page
from keras_loader_bench.bench.report.plots import CAPTIONS

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)> [a](javascript:alert(3)) & \"'"

EMBEDDED = "data:image/png;base64,"

VOID = {"meta", "br", "hr", "img", "link", "input"}


class Page(HTMLParser):
    """What a browser would find: tags with their attributes, properly nested, and the text."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.text = [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    shutil.copy(INVENTED_RUN / "run.json", folder)
    write_report(folder)
    return folder


@pytest.fixture(scope="module")
def page(written):
    return (written / "report.html").read_text(encoding="utf-8")


def test_the_page_needs_nothing_else(page, written):
    found = Page(page)
    assert len(page.encode()) < 2 * 2**20
    for tag, attributes in found.tags:
        assert tag not in {"link", "iframe", "object", "embed", "base", "form"}
        assert "style" not in attributes
        assert not [name for name in attributes if name.startswith("on")]
        assert attributes.get("src", EMBEDDED).startswith(EMBEDDED)
        for name in ("href", "xlink:href"):
            address = attributes.get(name, "#")
            assert re.match(r"#|https://|[a-z.]+$", address), address
    assert "@import" not in page
    assert "url(http" not in page


def test_the_policy_allows_what_is_in_the_page_and_nothing_else(page):
    (policy,) = [
        meta["content"]
        for meta in Page(page).all("meta")
        if meta.get("http-equiv") == "Content-Security-Policy"
    ]
    assert policy.startswith("default-src 'none'; ")
    assert "img-src data:;" in policy
    assert "unsafe" not in policy
    for tag, directive in (("style", "style-src"), ("script", "script-src")):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}';" in policy


def test_the_page_says_what_the_markdown_says(page, written):
    """The same sentences and cells, as a reader sees them."""
    markup = re.compile(r"[\\*`|#<>\[\]()]|^- |\(report.*?\)")
    text = "".join(markup.sub("", "".join(Page(page).text)).split())
    markdown = (written / "report.md").read_text(encoding="utf-8")
    compared = 0
    for line in markdown.splitlines():
        words = "".join(markup.sub("", line).split())
        if line.startswith(("## ", "- **")) and "](" not in line and "&" not in line:
            assert words in text
            compared += 1
    assert compared > 15


def test_every_plot_is_inside_with_its_name(page, written):
    names = sorted(path.stem for path in written.glob("*.png"))
    assert {"rates", "utilization", "footprint", "timeline", "workers", "pareto"} <= set(names)
    found = Page(page)
    shown = [figure["id"].removeprefix("plot-") for figure in found.all("figure")]
    assert sorted(shown) == names
    images = found.all("img")
    assert [image["alt"] for image in images] == [CAPTIONS[name] for name in shown]
    for name, image in zip(shown, images, strict=True):
        data = base64.b64decode(image["src"].removeprefix(EMBEDDED))
        assert data == (written / f"{name}.png").read_bytes()
        with Image.open(io.BytesIO(data)) as plot:
            assert plot.width > int(image["width"]), "sharp where the page shows it at full size"
            ratio = int(image["width"]) / int(image["height"])
            assert plot.width / plot.height == pytest.approx(ratio, rel=0.01)
    ids = [attributes["id"] for _, attributes in found.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert set(re.findall(r"href=\"#([^\"]+)", page)) <= set(ids)


def test_a_plot_is_one_line_of_the_page(page):
    assert len(page.splitlines()) < 2000


def test_hostile_text_stays_text(whole_run, tmp_path):
    for result in whole_run["cases"]:
        if result["case"]["loader"] == "wrong_dtype":
            result["case"]["loader"] = result["id"] = HOSTILE
            result["error"] = dict.fromkeys(
                ("type", "message", "signal", "traceback", "log_tail"), HOSTILE
            )
        if result["known_failure"]:
            result["known_failure"] = {"reason": HOSTILE, "link": HOSTILE}
    whole_run["environment"] |= {"os": HOSTILE, "cpu": HOSTILE, "packages": {HOSTILE: HOSTILE}}
    whole_run["sources"][0]["name"] = HOSTILE
    (tmp_path / "run.json").write_text(json.dumps(whole_run))
    write_report(tmp_path)
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    found = Page(page)
    assert "<script>alert(1)</script>" in "".join(found.text)
    assert len(found.all("script")) == 1
    assert all(image["src"].startswith(EMBEDDED) for image in found.all("img"))
    assert len(found.all("img")) == len(found.all("figure"))
    assert not [a for a in found.all("a") if "javascript" in a["href"]]
    assert not [name for _, attributes in found.tags for name in attributes if name == "onerror"]


def test_markdown_from_elsewhere_brings_no_html():
    page = html_page(f"# {HOSTILE}\n\n{HOSTILE}\n\n| a |\n|:--|\n| {HOSTILE} |\n", {})
    found = Page(page)
    assert len(found.all("script")) == 1
    assert not found.all("img")
    assert not [a for a in found.all("a") if "javascript" in a["href"]]


def test_files_and_captions_are_escaped():
    file = io.BytesIO()
    Image.new("RGB", (3, 3)).save(file, format="png")
    plot = Plot(png=file.getvalue(), caption=HOSTILE)
    page = html_page("# t\n\n![x](a.png)\n", {"a.png": plot}, files=["a&<b>.csv"])
    found = Page(page)
    assert [image["alt"] for image in found.all("img")] == [HOSTILE]
    assert len(found.all("script")) == 1
    assert {"href": "a&<b>.csv"} in found.all("a")


def test_numbers_stand_to_the_right_and_headings_name_columns(page):
    found = Page(page)
    assert {"class": "number"} in found.all("td")
    assert all(heading["scope"] == "col" for heading in found.all("th"))
    tables = [a for a in found.all("div") if a.get("aria-label", "").startswith("Table: ")]
    assert len(tables) == len(found.all("table"))
    assert all(a["tabindex"] == "0" for a in tables)


def test_an_interval_stays_on_one_line():
    """And so a column may be as narrow as its intervals."""
    page = html_page("# t\n\n| a |\n| --: |\n| ★ 1.5 (1.4 - 1.6), audit failed |\n", {})
    spans = re.findall(r'<span class="unbroken">(.*?)</span>', page)
    assert spans == ["★ 1.5", "(1.4 - 1.6),"]
    assert "★ 1.5 (1.4 - 1.6), audit failed" in "".join(Page(page).text)
