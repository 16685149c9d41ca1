"""The report in a real browser, without a network: accessible, legible at every width, and with a clean console."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, sync_playwright

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
OPTIONS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--host-resolver-rules=MAP * ~NOTFOUND"),
]


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


@pytest.fixture
def opened(browser: Browser) -> Iterator[Callable[..., Page]]:
    """Call it with a run, a width and further options of the browser's page: the open report.

    At the end of the test, nothing must have been written to the console or requested but the page itself.
    """
    messages, requests, pages = [], [], []

    def open_report(run: Path, width: int = 900, **options: Any) -> Page:
        page = browser.new_page(viewport={"width": width, "height": 700}, **options)
        pages.append(page)
        page.set_default_timeout(10_000)
        page.on("console", lambda message: messages.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: messages.append(f"uncaught: {error}"))
        page.on("request", lambda request: requests.append(request.url))
        page.goto((run / "results" / "report.html").as_uri())
        return page

    yield open_report
    for page in pages:
        page.close()
    assert messages == []
    assert [url[:80] for url in requests if not url.startswith("file:")] == []


@pytest.mark.parametrize(
    ("run", "width", "scheme"),
    [
        ("finished_run", 400, "light"),
        ("finished_run", 900, "dark"),
        ("finished_run", 1600, "light"),
        ("writing_run", 400, "dark"),
        ("writing_run", 1600, "dark"),
    ],
)
def test_it_is_accessible_and_fits_the_window(
    opened: Callable[..., Page], request: pytest.FixtureRequest, run: str, width: int, scheme: str
) -> None:
    page = opened(request.getfixturevalue(run), width, color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true })")
    found = Axe().run(page).response
    assert [(each["id"], each["nodes"][0]["html"]) for each in found["violations"]] == []
    assert {"color-contrast", "svg-img-alt", "heading-order", "region"} <= {each["id"] for each in found["passes"]}
    assert page.evaluate("document.documentElement.scrollWidth") == width
    figures = [figure.bounding_box() for figure in page.locator("figure svg").all()]
    assert len(figures) >= 7
    assert all(figure["x"] >= 0 and figure["width"] >= 350 and figure["height"] >= 50 for figure in figures)


def test_the_result_is_in_the_first_window(opened: Callable[..., Page], finished_run: Path) -> None:
    page = opened(finished_run, 400)
    for part in (page.locator("h1"), page.locator(".number b")):
        box = part.bounding_box()
        assert box["y"] > 0 and box["y"] + box["height"] < 350


def test_a_reader_picks_a_list_and_compares_models(opened: Callable[..., Page], finished_run: Path) -> None:
    page = opened(finished_run)
    lists = page.locator("[data-list]")
    name = lists.nth(2).get_attribute("data-list")
    choice = page.get_by_role("combobox", name="List")
    choice.select_option(name)
    assert [each.is_visible() for each in lists.all()] == [place == 2 for place in range(lists.count())]
    assert lists.nth(2).locator("tbody tr").last.is_visible()
    assert page.locator("#lists output").inner_text() == f"1 of {lists.count()} shown"
    choice.select_option("")
    assert all(each.is_visible() for each in lists.all())
    page.get_by_role("combobox", name="Show").select_option("teacher")
    page.get_by_role("combobox", name="beside").select_option("refined")
    rows = page.locator(".scores tr[data-model]")
    shown = {row.get_attribute("data-model") for row in rows.all() if row.is_visible()}
    assert shown == {"teacher", "refined"} and rows.count() > len(shown)


def test_without_scripts_everything_is_there(opened: Callable[..., Page], finished_run: Path) -> None:
    page = opened(finished_run, java_script_enabled=False)
    assert page.locator("select").count() == 0
    assert all(each.is_visible() for each in page.locator("[data-list], [data-model], figure svg").all())
    closed = page.locator("#lists details:not([open])").first
    closed.locator("summary").click()
    assert closed.locator("tbody tr").last.is_visible() or page.locator("#lists details[open]").count() == 2


def test_the_keyboard_skips_to_the_result_and_shows_where_it_is(
    opened: Callable[..., Page], finished_run: Path
) -> None:
    page = opened(finished_run)
    page.keyboard.press("Tab")
    skip = page.locator(".skip")
    assert skip.evaluate("link => link === document.activeElement") and skip.bounding_box()["x"] >= 0
    assert skip.evaluate("link => getComputedStyle(link).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "result"


def test_it_prints_light_and_with_closed_parts_open(opened: Callable[..., Page], finished_run: Path) -> None:
    page = opened(finished_run, color_scheme="dark", java_script_enabled=False)
    page.emulate_media(media="print")
    style = "body => [getComputedStyle(body).backgroundColor, getComputedStyle(body).color]"
    assert page.locator("body").evaluate(style) == ["rgb(255, 255, 255)", "rgb(27, 28, 31)"]
    assert not page.locator("nav").is_visible()
    assert page.locator("#lists details:not([open]) tbody tr").last.bounding_box()["height"] > 5
    assert page.pdf(format="A4").startswith(b"%PDF")
