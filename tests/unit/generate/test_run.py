"""The stage above any recipe and engine: what its code depends on."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from rankrefine import digest, io
from rankrefine.errors import UserError
from rankrefine.generate import run as generate


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


@pytest.mark.parametrize(
    ("record", "more"), [({}, "add sources or loosen the filters"), ({"made_by": [{}]}, "raise write.count or loosen")]
)
def test_a_pool_that_is_too_small_says_what_makes_it_larger(tmp_path: Path, record: dict, more: str) -> None:
    pool, stats = tmp_path / "pool.parquet", tmp_path / "pool.json"
    io.write_table(pool, pa.table({"seed_id": ["0"], "text": ["A boat."], "source": ["scratch/news"]}))
    io.write_json(stats, {"dropped": {"too short": 3}} | record)
    message = rf"seeds\.count is 2, .* only 1 seed sentences \(dropped: too short 3\); lower seeds\.count, {more}"
    with pytest.raises(UserError, match=message):
        generate._read(pool, 0, 2, 2, stats, "seeds.count")
