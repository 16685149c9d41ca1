"""The stage above any recipe and engine: what its code depends on."""

from __future__ import annotations

import pytest

from rankrefine import digest


def test_the_stage_depends_on_no_recipe_and_no_engine() -> None:
    """So a new recipe or engine regenerates no shard, and nothing above a recipe knows of rankings."""
    names = digest.closure("rankrefine.generate.run")
    assert "rankrefine.generate.recipes.recipe" in names and "rankrefine.generate.scheduler" in names
    assert not [name for name in names if "ranking" in name or name.endswith(".engine")]


@pytest.mark.parametrize("engine", ["transformers", "vllm", "fake"])
def test_engines_depend_on_no_stage_and_on_no_other_engine(engine: str) -> None:
    names = digest.closure(f"rankrefine.llm.{engine}.engine")
    assert not [name for name in names if "ranking" in name or name.startswith("rankrefine.generate")]
    assert [name for name in names if name.endswith(".engine")] == [f"rankrefine.llm.{engine}.engine"]
