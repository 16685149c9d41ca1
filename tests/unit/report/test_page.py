"""The page is valid, accessible HTML in every run: ids, headings, tables, figures, colours, citation."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from unit.report.test_base import written
from unit.report.test_run import configuration, fabricate

from rankrefine.report import run as report
from rankrefine.report.figures.style import BLUE, DARK, GREY, GRID, INK, PALE, PAPER
from rankrefine.report.html import TEMPLATES, script
from rankrefine.report.inline_svg import inline
from rankrefine.report.page import SECTIONS

ROOT = Path(__file__).parents[3]
VOID = {"meta", "br", "input"}


@dataclass
class Element:
    tag: str
    attributes: dict[str, str | None]
    children: list[Element] = field(default_factory=list)
    text: str = ""

    def all(self, tag: str) -> Iterator[Element]:
        """Elements with this tag inside, in their order; "" for all elements."""
        for child in self.children:
            if tag in ("", child.tag):
                yield child
            yield from child.all(tag)


class Tree(HTMLParser):
    """Tree of a page's elements; a tag that is not closed where it should be fails."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.root = Element("", {})
        self._open = [self.root]
        self.feed(text)
        assert self._open == [self.root]

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        element = Element(tag, dict(attributes))
        self._open[-1].children.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self._open[-1].children.append(Element(tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop().tag == tag

    def handle_data(self, text: str) -> None:
        for element in self._open:
            element.text += text


@pytest.fixture(scope="module", params=["plain", "with written examples"])
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Element:
    folder = fabricate(tmp_path_factory.mktemp("results"))
    config = configuration() if request.param == "plain" else written(folder)
    report.run(config, folder, folder / "teacher" / "minilm", folder / "report", folder / "report.html")
    return Tree((folder / "report.html").read_text(encoding="utf-8")).root


def test_every_id_is_unique_and_every_reference_leads_to_one(page: Element) -> None:
    ids = [element.attributes["id"] for element in page.all("") if "id" in element.attributes]
    assert len(ids) == len(set(ids))
    used = set()
    for element in page.all(""):
        for name in ("aria-labelledby", "aria-describedby"):
            used |= set((element.attributes.get(name) or "").split())
        if (link := element.attributes.get("href") or "").startswith("#"):
            used.add(link[1:])
        used |= set(re.findall(r"url\(#([^)]+)\)", " ".join(filter(None, element.attributes.values()))))
    assert used <= set(ids) and len(used) > 40


def test_headings_and_landmarks_have_an_order(page: Element) -> None:
    levels = [int(element.tag[1]) for element in page.all("") if re.fullmatch(r"h[1-6]", element.tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))
    assert [len(list(page.all(tag))) for tag in ("main", "nav", "footer")] == [1, 1, 1]
    sections = list(page.all("section"))
    assert all("aria-labelledby" in section.attributes for section in sections)
    links = [link.attributes["href"] for link in next(page.all("nav")).all("a")]
    assert links == [f"#{section.attributes['id']}" for section in sections]
    html = next(page.all("html"))
    assert html.attributes["lang"] == "en" and next(page.all("title")).text


def test_tables_have_captions_and_scopes(page: Element) -> None:
    tables = list(page.all("table"))
    assert len(tables) > 10
    for table in tables:
        assert next(table.all("caption")).text.strip()
        assert all(cell.attributes.get("scope") for cell in table.all("th"))
        widths = {
            sum(int(cell.attributes.get("colspan") or 1) for cell in row.children if cell.tag in ("td", "th"))
            for row in table.all("tr")
        }
        assert len(widths) == 1, next(table.all("caption")).text


def test_figures_have_a_text_alternative_and_the_colours_of_the_page(page: Element) -> None:
    figures = list(page.all("figure"))
    assert len(figures) >= 9
    for figure in figures:
        (svg,) = figure.all("svg")
        assert svg.attributes["role"] == "img" and "width" not in svg.attributes
        title, description = svg.children[0].text, svg.children[1].text
        assert title and len(description) > 20
        assert len(next(figure.all("figcaption")).text) > 60
        styles = " ".join(element.attributes.get("style") or "" for element in svg.all(""))
        assert not re.search(r"#[0-9a-f]{6}|DejaVu", styles) and "var(--c" in styles


def test_ids_of_figures_do_not_meet() -> None:
    svg = """<?xml version="1.0"?><svg xmlns:xlink="http://www.w3.org/1999/xlink" width="9pt" viewBox="0 0 9 9">
 <defs><style type="text/css">*{stroke-linejoin: round}</style></defs>
 <g id="a" clip-path="url(#p)"><use xlink:href="#m"/>
 <text style="font-size: 9px; font-family: 'DejaVu Sans', sans-serif; fill: #0072b2">#a 1.234</text></g></svg>"""
    made = str(inline(svg, "one", "A <b>", "x & y"))
    assert made.startswith('<svg viewBox="0 0 9 9" role="img"') and "style>" not in made
    for part in (
        'id="one-a"',
        "url(#one-p)",
        ' href="#one-m"',
        "font-size: 9px; fill: var(--c0072b2)",
    ):
        assert part in made, part
    assert ">#a 1.234</text>" in made and '<title id="one-title">A &lt;b&gt;</title>' in made


def luminance(color: str) -> float:
    parts = (int(color[place : place + 2], 16) / 255 for place in (1, 3, 5))
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(first: str, second: str) -> float:
    darker, lighter = sorted(map(luminance, (first, second)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("light", [color for color in DARK if color not in (PAPER, GRID, PALE)])
def test_colours_of_figures_contrast_with_the_page(light: str) -> None:
    least = 4.5 if light in (INK, BLUE, GREY) else 3.0  # of text, and of marks
    assert contrast(light, PAPER) >= least
    assert contrast(DARK[light], DARK[PAPER]) >= least


def test_the_background_of_figures_is_that_of_the_page() -> None:
    backs = re.findall(r"--back: (#\w+)", (TEMPLATES / "style.css").read_text(encoding="utf-8"))
    assert backs == ["#fff", DARK[PAPER]]


def test_every_section_has_a_template() -> None:
    assert all((TEMPLATES / f"{name}.html").is_file() for name in SECTIONS)


def test_the_script_is_the_only_one_that_may_run(page: Element) -> None:
    (policy,) = (meta for meta in page.all("meta") if meta.attributes.get("http-equiv"))
    assert "default-src 'none'" in policy.attributes["content"] and script()[1] in policy.attributes["content"]
    assert [element.attributes for element in page.all("script")] == [{}]


def test_the_citation_is_that_of_the_readme() -> None:
    entry = re.compile(r"@inproceedings\{.*?\n\}", re.DOTALL)
    readme, own = ((ROOT / "README.md").read_text("utf-8"), (TEMPLATES / "cite.html").read_text("utf-8"))
    assert entry.search(readme)[0] == entry.search(own)[0]


def test_the_encoder_is_opened_and_used_in_three_lines(page: Element) -> None:
    (use,) = (section for section in page.all("section") if section.attributes["id"] == "use")
    code = next(use.all("pre")).text
    assert len(code.strip().splitlines()) == 3
    compile(code, "use", "exec")
