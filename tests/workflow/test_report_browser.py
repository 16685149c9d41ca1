"""The report page in a real browser, without a network: every figure and table is there, and the console is clean."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Frame, Page, sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
OPTIONS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND"),
]
# warning of a library that Snakemake embeds in its page; it is not loaded from that address
KNOWN = re.compile(r"^warning: cdn\.tailwindcss\.com should not be used in production")
CATEGORY = re.compile(r"^\d \w")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    executable = next(filter(None, map(shutil.which, BROWSERS)), None)
    if executable is None:
        message = f"there is no browser ({', '.join(BROWSERS)})"
        (pytest.fail if os.environ.get("RANKREFINE_NEED_BROWSER") == "1" else pytest.skip)(message)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=OPTIONS)
        yield browser
        browser.close()


class Opened:
    """The open report page, with its console messages and requests."""

    def __init__(self, page: Page, path: Path) -> None:
        self.page, self.messages, self.requests = page, [], []
        page.set_default_timeout(10_000)
        page.on("console", lambda message: self.log(message.type, message.text))
        page.on("pageerror", lambda error: self.messages.append(f"uncaught: {error}"))
        page.on("request", lambda request: self.requests.append(request.url))
        page.goto(path.as_uri())
        page.get_by_text("Workflow", exact=True).wait_for()

    def log(self, kind: str, text: str) -> None:
        if kind != "log":  # Snakemake logs every item that it shows
            self.messages.append(f"{kind}: {text}")

    def categories(self) -> list[str]:
        return [text for text in self.page.locator("ul li a span").all_inner_texts() if CATEGORY.match(text)]

    def open(self, category: str) -> list[str]:
        """Show a category, and return the names of its items."""
        self.page.locator("nav ol a").first.click()
        self.page.locator("ul li a span", has_text=category).click()
        self.page.locator("tbody tr").first.wait_for()
        return [row.split("\t")[0].strip() for row in self.page.locator("tbody tr").all_inner_texts()]

    def click(self, item: int, icon: str) -> None:
        self.page.locator("tbody tr").nth(item).locator(f"a[iconname={icon}]").click()


def visible_figure(page: Page) -> None:
    """The figure has a size, and its upper left corner can be seen beside the menu."""
    figure = page.locator(".h-screen.items-center img")
    figure.wait_for()
    natural = figure.evaluate(
        "async image => { await image.decode(); return [image.naturalWidth, image.naturalHeight] }"
    )
    assert min(natural) > 50
    box, menu = figure.bounding_box(), page.locator("nav").first.bounding_box()
    assert box["y"] >= 0 and box["x"] >= menu["x"] + menu["width"] - 1 and box["width"] > 500
    assert figure.get_attribute("src").startswith("data:image/svg+xml")


def visible_page(page: Page) -> None:
    """The page has a title and a table with rows, and its text contrasts with its background."""
    page.locator("iframe").wait_for()
    frame: Frame = page.locator("iframe").element_handle().content_frame()
    frame.wait_for_load_state()
    assert frame.locator("h1").inner_text()
    assert frame.locator("table").count() > 0
    rows = frame.locator("table tr").all_inner_texts()
    assert len(rows) >= 2 and any(row.strip() for row in rows)
    style = frame.locator("body").evaluate(
        "body => [getComputedStyle(body).color, getComputedStyle(body).backgroundColor]"
    )
    text, background = (sum(map(int, re.findall(r"\d+", color)[:3])) / 765 for color in style)
    assert abs(text - background) > 0.6


@pytest.mark.parametrize(
    ("run", "width", "scheme"),
    [("finished_run", 1280, "light"), ("finished_run", 800, "dark"), ("writing_run", 1280, "light")],
)
def test_every_item_is_shown_and_the_console_is_clean(
    browser: Browser, request: pytest.FixtureRequest, run: str, width: int, scheme: str
) -> None:
    results = request.getfixturevalue(run) / "results"
    # the window is lower than the figures
    page = browser.new_page(viewport={"width": width, "height": 400}, color_scheme=scheme)
    try:
        opened = Opened(page, results / "report.html")
        shown = []
        for category in opened.categories():
            for place, name in enumerate(opened.open(category)):
                opened.open(category)
                opened.click(place, "eye")
                page.locator(".h-screen.items-center").locator("img, iframe").wait_for()
                is_figure = page.locator("iframe").count() == 0
                (visible_figure if is_figure else visible_page)(page)
                shown.append(".svg" if is_figure else ".html")
                opened.click(place, "information-circle")
                caption = page.locator("nav .prose")
                caption.wait_for()
                assert len(caption.inner_text()) > 60, name
        assert sorted(shown) == sorted(path.suffix for path in (results / "report").iterdir())
        assert [text for text in opened.messages if not KNOWN.match(text)] == []
        assert [url[:80] for url in opened.requests if not url.startswith(("data:", "blob:", "file:"))] == []
    finally:
        page.close()
