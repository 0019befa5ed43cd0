"""The page as a person meets it: in a real browser, from disk, on a phone, with a keyboard."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from conftest import INVENTED_RUN

from keras_loader_bench.bench.compare.__main__ import main as compare
from keras_loader_bench.bench.report import write_report

playwright = pytest.importorskip(
    "playwright.sync_api", reason="playwright is not installed; `pip install -e '.[test]'`"
)
NAMES = ("chromium", "chromium-browser", "google-chrome")
CHROMIUM = next((path for name in NAMES if (path := shutil.which(name))), None)
pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="Chromium is not installed; `apt-get install chromium` on Debian"
)

PHONE = {"width": 390, "height": 844}
DESK = {"width": 1280, "height": 900}
HOSTILE = "<img src=https://example.com/x onerror=alert(1)><script>alert(2)</script>"

CONTRAST = """
element => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const light = (color) => {
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    const channels = [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3).map((value) => {
      const share = value / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * channels[0] + 0.7152 * channels[1] + 0.0722 * channels[2];
  };
  const style = getComputedStyle(element);
  const ink = light(style.color);
  const paper = light(getComputedStyle(document.body).backgroundColor);
  return (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
}
"""
"""WCAG 2's contrast between an element's text and the page."""


@pytest.fixture(scope="module")
def browser():
    # Containers seldom allow Chromium's own sandbox; the pages are this project's.
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The page of an invented run in which a loader's name and log are hostile."""
    folder = tmp_path_factory.mktemp("report")
    run = json.loads((INVENTED_RUN / "run.json").read_text(encoding="utf-8"))
    for result in run["cases"]:
        if result["case"]["loader"] == "wrong_dtype":
            result["case"]["loader"] = result["id"] = HOSTILE
            result["error"] = {"message": HOSTILE, "traceback": HOSTILE, "log_tail": HOSTILE}
    (folder / "run.json").write_text(json.dumps(run))
    write_report(folder)
    return folder / "report.html"


@pytest.fixture
def visit(browser):
    """Open a page; afterwards nothing may have been said, asked for or popped up."""
    contexts, noise, requests = [], [], []

    def open_page(path: Path, **options):
        context = browser.new_context(**{"viewport": DESK} | options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: noise.append(message.text))
        page.on("pageerror", lambda error: noise.append(str(error)))
        page.on("dialog", lambda dialog: noise.append(dialog.message))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(path.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert noise == []
    asked = [url for url in requests if not url.startswith("data:image/png;")]
    assert {url.partition(":")[0] for url in asked} == {"file"}
    assert len(asked) == len(contexts)


def column(page, number):
    cells = page.locator("table").first.locator(f"tbody tr td:nth-child({number})")
    return [text.strip() for text in cells.all_inner_texts()]


def test_the_answer_stands_first(visit, report):
    page = visit(report)
    assert page.locator("h1").inner_text() == "Which input pipeline should feed the model?"
    assert "On this machine, with" in page.locator("h1 + *").inner_text()


@pytest.mark.parametrize("how", ["mouse", "keyboard"])
def test_the_table_sorts_both_ways(visit, report, how):
    page = visit(report)
    headings = [text.strip(" ↕") for text in page.locator("th").all_inner_texts()]
    number = next(n for n, text in enumerate(headings, 1) if text.startswith("feed rate"))
    button = page.locator("table").first.locator(f"th:nth-child({number}) button")

    def rates():
        texts = [text.lstrip("★☆ ").split("k")[0] for text in column(page, number)]
        return [float(text) for text in texts if text and text[0].isdigit()]

    before = rates()
    assert before != sorted(before)
    for order in (sorted(before), sorted(before, reverse=True)):
        if how == "mouse":
            button.click()
        else:
            button.focus()
            page.keyboard.press("Enter")
        assert rates() == order
    assert page.locator("th[aria-sort=descending]").count() == 1


def test_what_is_empty_comes_last_in_either_direction(visit, report):
    page = visit(report)
    table = page.locator("table").first
    for number in range(1, table.locator("th").count() + 1):
        for _ in range(2):
            table.locator(f"th:nth-child({number}) button").click()
            cells = column(page, number)
            assert cells == [c for c in cells if c != "-"] + [c for c in cells if c == "-"]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_plots_and_text_can_be_read_in_both_colour_schemes(visit, report, scheme):
    page = visit(report, color_scheme=scheme)
    plots = page.locator("figure img")
    assert plots.count() >= 5
    for number in range(plots.count()):
        box = plots.nth(number).bounding_box()
        assert box["width"] > 300
        assert box["height"] > 100
        assert plots.nth(number).evaluate("image => image.complete && image.naturalWidth > 0")
    for selector in ("h1", "p", "td", "figcaption", "a"):
        assert page.locator(selector).first.evaluate(CONTRAST) >= 4.5
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") == (scheme == "light")


def test_a_desk_shows_what_tells_loaders_apart(visit, report):
    """The table may be wider than the window, but not its first columns."""
    page = visit(report)
    headings = page.locator("table").first.locator("th")
    texts = [text.strip(" ↕") for text in headings.all_inner_texts()]
    for name in ("loader", "batches identical", "feed rate (samples/s)"):
        number = next(n for n, text in enumerate(texts) if " ".join(text.split()) == name)
        box = headings.nth(number).bounding_box()
        assert box["x"] + box["width"] < DESK["width"]


def test_a_phone_scrolls_tables_and_plots_but_not_the_page(visit, report):
    page = visit(report, viewport=PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    wide = page.locator(".scroll")
    assert wide.first.evaluate("element => element.scrollWidth > element.clientWidth")


def test_every_plot_has_its_name_and_every_table_too(visit, report):
    page = visit(report)
    figures = page.locator("figure")
    for number in range(figures.count()):
        caption = figures.nth(number).locator("figcaption").inner_text()
        assert page.get_by_role("img", name=caption, exact=True).count() == 1
    tables = page.locator("table").count()
    assert page.get_by_role("group", name="Table: ").count() == tables


def test_everything_can_be_reached_with_the_keyboard(visit, report):
    page = visit(report)
    wanted = page.locator("a[href], button, [tabindex='0']").count()
    reached = 0
    for _ in range(wanted + 1):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement === document.body"):
            break
        reached += 1
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none"
    assert reached == wanted


def test_without_javascript_all_is_there(visit, report):
    page = visit(report, java_script_enabled=False)
    assert page.locator("table").count() >= 2
    assert page.locator("th button").count() == 0
    assert page.locator("figure img").count() >= 5


def test_in_print_nothing_is_cut_off(visit, report):
    page = visit(report)
    page.emulate_media(media="print")
    assert not page.locator("nav").is_visible()
    assert page.locator(".scroll").first.evaluate("e => getComputedStyle(e).overflowX") == "visible"
    assert page.pdf(format="A4").startswith(b"%PDF")


def test_hostile_text_is_shown_and_does_nothing(visit, report):
    page = visit(report)
    assert HOSTILE in page.locator("main").inner_text()
    assert page.locator("main script").count() == 0
    assert page.locator("main img").count() == page.locator("figure img").count()


def test_a_comparison_is_a_page_of_the_same_kind(visit, report, tmp_path, capsys):
    output = tmp_path / "compare.html"
    folder = str(report.parent)
    assert compare([folder, folder, "--output", os.fspath(output)]) == 0
    page = visit(output, viewport=PHONE)
    assert page.get_by_role("img", name="Rate and AU of each case, after / before").count() == 1
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
