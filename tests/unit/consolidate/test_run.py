"""Reading shards: only whole shards of ranking lists are consolidated, and nothing is left half written."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rankrefine import io
from rankrefine.config import load as config
from rankrefine.consolidate import run
from rankrefine.errors import UserError
from rankrefine.ranking_lists.schema import SHARD
from rankrefine.ranking_lists.shards import declared

PAIRS = pa.table({"seed_id": ["a"], "pair": ["b"]})
FEWER = SHARD.empty_table().drop_columns(["status"])
REFUSED = {
    "of another recipe": (PAIRS, "contains no ranking lists; set generate.recipe"),
    "of another version": (FEWER, "does not have the columns of this version of rankrefine; delete it"),
    "too short": (SHARD.empty_table(), "has 0 lists instead of 10; delete it and run again"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_shard_that_cannot_be_read_is_refused(case: str, tmp_path: Path) -> None:
    table, message = REFUSED[case]
    settings = config.complete({"seeds": {"count": 10}, "generate": {"shard_size": 10}})
    (name,) = declared(settings)
    pq.write_table(table, tmp_path / f"{name}.parquet")
    io.write_json(tmp_path / f"{name}.json", {})
    output = tmp_path / "out"
    output.mkdir()
    with pytest.raises(UserError, match=message) as error:
        run.run(settings, tmp_path, tmp_path / "pool.json", output / "a.parquet", output / "a.json", output / "a.md")
    assert f"{name}.parquet" in str(error.value)
    assert not list(output.iterdir())


def test_the_mean_length_is_in_words_of_any_script(tmp_path: Path) -> None:
    settings = config.complete({"seeds": {"count": 2}, "generate": {"shard_size": 2}})
    (name,) = declared(settings)
    lists = [["Cats sleep.", "A cat rests now."], ["猫在睡觉了。", "一只宠物在休息。"]]  # 2, 4, 5 / 1.5, 7 / 1.5 words
    columns = [["a", "b"], ["x", "x"], lists, ["complete"] * 2, [0, 0], [0, 0]]
    pq.write_table(pa.table(columns, schema=SHARD), tmp_path / f"{name}.parquet")
    io.write_json(tmp_path / f"{name}.json", dict.fromkeys(run.ORIGIN) | {"imported": True, "sampling": {}})
    io.write_json(tmp_path / "pool.json", {"config": {"seeds": {"decontaminate": []}}})
    output = [tmp_path / file for file in ("lists.parquet", "lists.json", "README.md")]
    run.run(settings, tmp_path, tmp_path / "pool.json", *output)
    assert io.read_json(output[1])["mean_words"] == 3.5
