"""The table of the report's contents agrees with its functions, captions, texts and code digests."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from rankrefine import digest
from rankrefine.report import contents, descriptions
from rankrefine.report.contents import CONTENTS, Item

ROOT = Path(__file__).parents[3]
SRC = ROOT / "src"


@pytest.mark.parametrize("item", CONTENTS, ids=lambda item: item.name)
def test_every_figure_has_a_function_of_its_name(item: Item) -> None:
    assert callable(getattr(import_module(item.path), item.name))


def test_every_figure_has_a_caption_and_every_caption_a_figure() -> None:
    assert {path.stem for path in contents.CAPTIONS.iterdir()} == {item.name for item in CONTENTS}
    for item in CONTENTS:
        text = item.caption.read_text(encoding="utf-8")
        assert text.isascii(), "Snakemake reads it in the encoding of the terminal"
        assert not set("`*_|{<") & set(text), "it is reStructuredText for Snakemake and plain text for the page"


def test_names_and_entries_of_the_menu_are_unique() -> None:
    assert len({item.name for item in CONTENTS}) == len(CONTENTS)
    assert len({item.label for item in CONTENTS}) == len(CONTENTS)
    assert [item.category for item in CONTENTS] == sorted(item.category for item in CONTENTS)


def test_text_alternatives_belong_to_figures() -> None:
    described = {
        name for name, value in vars(descriptions).items() if getattr(value, "__module__", "") == descriptions.__name__
    }
    assert {name for name in described if not name.startswith("_")} <= {item.name for item in CONTENTS}


def test_the_digests_of_the_rule_cover_the_whole_package() -> None:
    covered = set().union(*map(digest.closure, ("rankrefine.report.run", *contents.MODULES)))
    files = (SRC / "rankrefine" / "report").rglob("*.py")
    modules = {".".join(path.relative_to(SRC).with_suffix("").parts).removesuffix(".__init__") for path in files}
    assert modules <= covered


def test_the_workflow_reads_the_table_without_heavy_libraries() -> None:
    code = "import sys, rankrefine.report.contents; print({'torch', 'matplotlib', 'numpy'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(SRC)}, capture_output=True, text=True)
    assert result.stdout.strip() == "set()", result.stderr
