"""A new recipe costs one file and one schema value: in a copy of the package, it runs through the whole stage."""

from __future__ import annotations

import filecmp
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from rankrefine import io

HERE, SOURCE = Path(__file__).parent, Path(__file__).parents[4] / "src"
SCHEMA, RECIPE = Path("rankrefine/config/schema.yaml"), Path("rankrefine/generate/recipes/paraphrase.py")
TEXTS = [f"The {word} boat left the harbour before noon." for word in ("old", "red", "slow", "small", "last")]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with the recipe."""
    copy = shutil.copytree(SOURCE, tmp_path_factory.mktemp("copy") / "src", ignore=shutil.ignore_patterns("*.pyc"))
    shutil.copy(HERE / "paraphrase.py", copy / RECIPE)
    schema = (copy / SCHEMA).read_text(encoding="utf-8")
    assert schema.count("enum: [ranking") == 1
    (copy / SCHEMA).write_text(schema.replace("enum: [ranking", "enum: [paraphrase, ranking"), encoding="utf-8")
    return copy


def generate(package: Path, folder: Path, stats: str) -> subprocess.CompletedProcess[str]:
    """Run the verb on a pool of five seed sentences, in blocks of two."""
    ids = [f"{i:016x}" for i in range(len(TEXTS))]
    io.write_table(folder / "pool.parquet", pa.table({"seed_id": ids, "text": TEXTS, "source": ["x"] * len(TEXTS)}))
    io.write_json(folder / "pool.json", {"dropped": {}})
    config = {"generate": {"recipe": "paraphrase", "engine": "fake", "block_size": 2}}
    command = [
        *(sys.executable, "-m", "rankrefine", "generate", "--config", json.dumps(config)),
        *("--pool", "pool.parquet", "--pool-stats", "pool.json", "--first", "0", "--rows", "5", "--budget", "5"),
        *("--output", "00000.parquet", "--stats", stats),
    ]
    environment = os.environ | {"PYTHONPATH": str(package)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def whole(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a shard."""
    folder = tmp_path_factory.mktemp("whole")
    done = generate(package, folder, "00000.json")
    assert done.returncode == 0, done.stderr
    return folder


def test_a_recipe_is_one_file_and_one_schema_value(package: Path) -> None:
    changed = []
    for file in package.rglob("*"):
        original = SOURCE / file.relative_to(package)
        if file.is_file() and not (original.is_file() and filecmp.cmp(file, original, shallow=False)):
            changed.append(file.relative_to(package))
    assert sorted(path for path in changed if path.suffix != ".pyc") == [SCHEMA, RECIPE]


def test_it_runs_through_the_whole_stage(whole: Path) -> None:
    table = io.read_table(whole / "00000.parquet")
    assert table.column_names == ["seed_id", "source", "paraphrase", "status", "redraws", "tokens"]
    assert table.schema.field("paraphrase").type == pa.string()
    rows = table.to_pylist()
    assert [row["status"] for row in rows] == ["complete"] * 5
    assert all(row["paraphrase"] not in TEXTS for row in rows)
    assert len({row["paraphrase"] for row in rows}) == 5
    record = io.read_json(whole / "00000.json")
    assert (record["read"], record["kept"], record["accepted"], record["stops"]) == (5, 5, 5, {"end": 5})
    assert (record["prompt"], record["sampling"]["temperature"]) == ("few_shot", 0.8)
    assert "guidance_scale" not in record["sampling"]
    assert record["config"]["generate"]["recipe"] == "paraphrase"
    assert record["generating_seconds"] > 0 and record["tokens_per_second"] < 1e8  # however fast
    assert not (whole / "00000.blocks").exists()


def test_an_interrupted_shard_of_it_continues_with_the_finished_blocks(
    package: Path, whole: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    failed = generate(package, tmp_path, "file/00000.json")  # which cannot be written
    assert failed.returncode != 0
    blocks = sorted((tmp_path / "00000.blocks").iterdir())
    assert len(blocks) == 3
    blocks[1].unlink()
    (tmp_path / "00000.parquet").unlink()
    done = generate(package, tmp_path, "00000.json")
    assert done.returncode == 0, done.stderr
    assert "using finished block 0" in done.stderr and "using finished block 2" in done.stderr
    assert "using finished block 1" not in done.stderr
    assert (tmp_path / "00000.parquet").read_bytes() == (whole / "00000.parquet").read_bytes()
    assert not (tmp_path / "00000.blocks").exists()
