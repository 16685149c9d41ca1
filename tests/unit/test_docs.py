"""The documentation names files and functions that exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "rankrefine"
PAGES = sorted(str(file.relative_to(ROOT)) for file in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")))
FILES = re.compile(r"`((?:[\w.-]+/)*[\w.-]+\.(?:py|smk|yaml|toml|md|rst))(?:: ([\w., ]+))?`")
FOLDERS = re.compile(r"`((?:[\w.-]+/)+)`")
OUTPUT = re.compile(r"results/|prompts/|data/|…|\b(?:NAME|PACKAGE|COMMAND|STEM)\b")  # not part of the repository
LINKS = re.compile(r"\]\((?!https?:)([^)#]+)(?:#([^)]*))?\)")


def locate(name: str) -> Path | None:
    """Path of a file or folder that is named from the root of the repository or of the package."""
    return next((folder / name for folder in (ROOT, PACKAGE) if (folder / name).exists()), None)


@cache
def definitions(path: Path) -> frozenset[str]:
    """Names that a Python file or a rule file defines: functions, classes, constants, and Class.attribute."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return frozenset(re.findall(r"^(?:rule |def )?(\w+)(?=[:(]| =)", text, re.MULTILINE))
    return frozenset(_names(ast.parse(text).body, ""))


def _names(body: list[ast.stmt], prefix: str) -> list[str]:
    found = []
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.append(prefix + node.name)
            if isinstance(node, ast.ClassDef):
                found += _names(node.body, f"{prefix}{node.name}.")
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        found += [prefix + target.id for target in targets if isinstance(target, ast.Name)]
    return found


def problems(text: str) -> list[str]:
    """Files, folders and names in a page's code spans that do not exist."""
    found = []
    for file, names in FILES.findall(text):
        path = None if OUTPUT.search(file) else locate(file)
        if path is None and not OUTPUT.search(file):
            found.append(f"{file} does not exist")
        elif path is not None and names:
            missing = set(names.replace(" ", "").split(",")) - definitions(path)
            found += [f"{file} does not define {name}" for name in sorted(missing)]
    folders = [name for name in FOLDERS.findall(text) if not OUTPUT.search(name)]
    return found + [f"{name} does not exist" for name in folders if locate(name) is None]


@pytest.mark.parametrize("page", PAGES)
def test_every_file_and_function_that_a_page_names_exists(page: str) -> None:
    assert not problems((ROOT / page).read_text(encoding="utf-8"))


def test_the_walkthrough_names_functions_of_every_stage() -> None:
    named = {
        file for file, names in FILES.findall((ROOT / "docs/walkthrough.md").read_text(encoding="utf-8")) if names
    }
    stages = ("seeds", "generate", "consolidate", "refine", "evaluate", "export", "report")
    assert all(f"{stage}/run.py" in named for stage in stages)
    assert len(named) > 30


@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("`data_files/tables.py: sentences, Nothing.at_all`", ["data_files/tables.py does not define Nothing.at_all"]),
        ("`text/nowhere.py` and `no/where/`", ["text/nowhere.py does not exist", "no/where/ does not exist"]),
        ("`workflow/rules/seeds.smk: seeds, harvest`", ["workflow/rules/seeds.smk does not define harvest"]),
        ("`io.py: atomic`, `results/scores.csv`, `tests/miniature/`, `errors.py: UserError`", []),
        ("`text/tally.py: Tally.drop`, `workflow/rules/common.smk: rows, SHARDS`", []),
    ],
)
def test_names_that_do_not_exist_are_found(text: str, missing: list[str]) -> None:
    assert problems(text) == missing


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_to_files_and_headings(page: str) -> None:
    for name, heading in LINKS.findall((ROOT / page).read_text(encoding="utf-8")):
        target = (ROOT / page).parent / name
        assert target.exists(), f"{page} links to {name}"
        if heading:
            titles = re.findall(r"^#+ (.+)$", target.read_text(encoding="utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}
            assert heading in anchors, f"{page} links to {name}#{heading}"
