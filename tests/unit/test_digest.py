"""Code digests: changes that count and changes that do not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rankrefine import digest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def package(tmp_path: Path, monkeypatch) -> Path:
    """A package of three modules: a imports b inside a function, c imports a."""
    folder = tmp_path / "toy"
    folder.mkdir()
    (folder / "__init__.py").write_text('__version__ = "1"\n')
    (folder / "a.py").write_text('"""A."""\ndef f(x):\n    """Doc."""\n    from toy.b import g\n    return g(x)\n')
    (folder / "b.py").write_text("def g(x):\n    return x + 1\n")
    (folder / "c.py").write_text("import toy.a\n")
    monkeypatch.setattr(digest, "PACKAGE", folder)
    for cached in (digest.code, digest._read):
        cached.cache_clear()
    yield folder
    for cached in (digest.code, digest._read):
        cached.cache_clear()


def fresh(module: str) -> str:
    for cached in (digest.code, digest._read):
        cached.cache_clear()
    return digest.code(module)


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def test_comments_docstrings_and_formatting_change_nothing(package: Path) -> None:
    before = fresh("toy.a")
    edit(package / "a.py", '"""A."""', '"""Another text.\n\nWith a second paragraph.\n"""\n# a comment')
    edit(package / "a.py", '    """Doc."""\n', "")
    edit(package / "b.py", "return x + 1", "return (\n        x + 1\n    )")
    assert fresh("toy.a") == before


def test_code_changes_it_also_in_a_module_imported_inside_a_function(package: Path) -> None:
    before = {name: fresh(name) for name in ("toy.a", "toy.b", "toy.c")}
    edit(package / "b.py", "x + 1", "x + 2")
    assert all(fresh(name) != old for name, old in before.items())
    before = fresh("toy.b")
    edit(package / "a.py", "return g(x)", "return g(-x)")
    assert fresh("toy.b") == before


def test_it_is_the_same_under_every_python(package: Path) -> None:
    """This value was computed with 3.11, 3.12 and 3.13; if you change the digest on purpose, compare them again."""
    (package / "d.py").write_text("from x import y\n\n\n@y\ndef f(a, *, b: int = 1) -> str:\n    return f'{a}{b!r}'\n")
    assert fresh("toy.d") == "59d05d7683b043af"


def test_a_release_changes_nothing(package: Path) -> None:
    before = fresh("toy.a")
    edit(package / "__init__.py", '"1"', '"2"')
    assert fresh("toy.a") == before


def test_the_closure_is_what_python_really_imports() -> None:
    """Import stages in a fresh interpreter: the digest must cover every module of the package that is loaded."""
    program = (
        "import importlib, sys; importlib.import_module(sys.argv[1]);"
        "print(*(m for m in sys.modules if m.startswith('rankrefine')))"
    )
    for stage in (
        "rankrefine.seeds.run",
        "rankrefine.import_lists.run",
        "rankrefine.consolidate.run",
        "rankrefine.evaluate.scores",
        "rankrefine.generate.run",
    ):
        loaded = subprocess.run(
            [sys.executable, "-c", program, stage], capture_output=True, text=True, check=True, cwd=ROOT / "src"
        ).stdout.split()
        assert set(loaded) - {"rankrefine"} <= digest.closure(stage)


def test_a_stage_depends_on_the_code_that_it_uses() -> None:
    """Which packages it may import at all is tested in test_layers."""
    assert "rankrefine.refine.losses" not in digest.closure("rankrefine.refine.teacher")
    assert "rankrefine.llm.guidance" not in digest.closure("rankrefine.consolidate.run")
    assert not any(
        name.startswith("rankrefine.llm.") and name.endswith(".engine")
        for name in digest.closure("rankrefine.generate.run")
    )
    assert "rankrefine.text.rewrite_rules" in digest.closure("rankrefine.consolidate.run")
    assert "rankrefine.llm.guidance" in digest.closure("rankrefine.llm.transformers.engine")


def test_the_fake_engine_and_the_snakefile_load_no_torch() -> None:
    program = "import sys; import rankrefine.generate.run, rankrefine.llm.fake.engine;print('torch' in sys.modules); "
    light = (
        "import sys; import rankrefine.config.load, rankrefine.digest, rankrefine.sources, rankrefine.llm.prompts;"
        "import rankrefine.assets.embedded; rankrefine.config.load.schema();"
        "print({'torch', 'pandas', 'pyarrow', 'numpy'} & set(sys.modules))"
    )
    for code, expected in ((program, "False"), (light, "set()")):
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT / "src"
        )
        assert done.stdout.strip() == expected
