"""The table of the report's contents agrees with its functions, captions and code digests."""

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from rankrefine import digest
from rankrefine.report import contents
from rankrefine.report.contents import CONTENTS, Item

ROOT = Path(__file__).parents[3]
SRC = ROOT / "src"


@pytest.mark.parametrize("item", CONTENTS, ids=lambda item: item.file)
def test_every_item_has_a_function_of_its_name(item: Item) -> None:
    assert callable(getattr(import_module(item.path), item.stem))


def test_every_item_has_a_caption_and_every_caption_an_item() -> None:
    captions = {path.stem for path in (ROOT / "workflow" / "report").glob("*.rst")}
    assert captions == {item.stem for item in CONTENTS} | {"workflow"}


def test_files_and_entries_of_the_menu_are_unique() -> None:
    assert len({item.file for item in CONTENTS}) == len(CONTENTS)
    assert len({(item.category, item.label) for item in CONTENTS}) == len(CONTENTS)
    assert [item.category for item in CONTENTS] == sorted(item.category for item in CONTENTS)


def test_the_digests_of_the_rule_cover_the_whole_package() -> None:
    covered = set().union(*map(digest.closure, ("rankrefine.report.run", *contents.MODULES)))
    files = (SRC / "rankrefine" / "report").rglob("*.py")
    modules = {".".join(path.relative_to(SRC).with_suffix("").parts).removesuffix(".__init__") for path in files}
    assert modules <= covered


def test_the_workflow_reads_the_table_without_heavy_libraries() -> None:
    code = "import sys, rankrefine.report.contents; print({'torch', 'matplotlib', 'numpy'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(SRC)}, capture_output=True, text=True)
    assert result.stdout.strip() == "set()", result.stderr
