"""Consolidated lists and their card: `datasets` opens the folder, and the card describes the origin of the lists."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from huggingface_hub import DatasetCard

from rankrefine import io
from rankrefine.config import load as config
from rankrefine.consolidate import run as consolidate
from rankrefine.ranking_lists.schema import SHARD

SETTINGS = config.complete({"seeds": {"count": 3}, "generate": {"shard_size": 2}})
WRITER = {"model": "hub:org/writer@v1", "revision": "c0ffee", "prompt": "few_shot", "prompt_sha256": "ab" * 32}
WRITER |= {"prompt_text": "user: Rewrite | this.", "sampling": {"guidance_scale": [1.5, 2.0], "temperature": 0.8}}
SOURCES = [{"name": "wiki", "source": "hub:org/wiki@v2", "column": "text", "split": "train"}]


def shard(folder: Path, name: str, lists: list[list[str]], made: dict) -> None:
    count = len(lists)
    columns = [[f"{name}-{i}" for i in range(count)], ["wiki"] * count, lists, ["complete"] * count]
    io.write_table(folder / f"{name}.parquet", pa.table([*columns, [0] * count, [9] * count], schema=SHARD))
    io.write_json(folder / f"{name}.json", made)


def consolidated(
    folder: Path, made: dict = WRITER, settings: dict = SETTINGS, sources: list = SOURCES, **pool: object
) -> Path:
    """Consolidate three lists in two shards, the third of which collapsed; return the output folder."""
    lists = [[f"The {word} is here.", f"A {word} lies here.", "Something else."] for word in ("boat", "door")]
    shard(folder, "00000", lists, made)
    shard(folder, "00001", [["A list.", "More.", "More.", "More."]], made)
    seeds = {"sources": sources, "decontaminate": ["embedded:stsb"]}
    io.write_json(folder / "pool.json", {"config": {"seeds": seeds}, "assets": {"hub:org/wiki@v2": "beef"}, **pool})
    out = folder / "consolidate"
    consolidate.run(
        settings, folder, folder / "pool.json", out / "lists.parquet", out / "lists.json", out / "README.md"
    )
    return out


def test_the_folder_opens_as_a_data_set_with_the_same_rows(tmp_path: Path) -> None:
    from datasets import load_dataset

    folder = consolidated(tmp_path)
    opened = load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
    assert list(opened) == ["train"]
    assert opened["train"].to_list() == io.read_table(folder / "lists.parquet").to_pylist()
    assert len(opened["train"]) == 2


def test_the_metadata_survive_a_round_trip_and_are_those_of_the_hub(tmp_path: Path) -> None:
    text = (consolidated(tmp_path) / "README.md").read_text(encoding="utf-8")
    card = DatasetCard(text)
    data = card.data.to_dict()
    assert DatasetCard(str(card)).data.to_dict() == data
    assert data["size_categories"] == ["n<1K"]
    assert data["task_categories"] == ["sentence-similarity"]
    assert data["source_datasets"] == ["org/wiki"]
    assert data["configs"] == [{"config_name": "default", "data_files": [{"split": "train", "path": "lists.parquet"}]}]
    assert not {"license", "language"} & set(data), "neither is known"


def test_the_card_describes_the_origin_of_the_lists_and_what_was_dropped(tmp_path: Path) -> None:
    text = DatasetCard((consolidated(tmp_path) / "README.md").read_text(encoding="utf-8")).text
    for statement in (
        *("`hub:org/writer@v1`, revision c0ffee", f"`few_shot`, SHA-256 `{'ab' * 32}`", "    user: Rewrite | this."),
        *("| guidance_scale | [1.5, 2.0] |", "| temperature | 0.8 |", "`hub:org/wiki@v2`, revision beef): 2 lists"),
        *(
            "Decontaminated against: `embedded:stsb`",
            "2 of 3 lists passed the quality rules",
            "| collapse | 1 |",
        ),
    ):
        assert statement in text, statement
    for column in consolidate.SCHEMA.names:
        assert f"| {column} | " in text, column


def test_shards_of_several_models_are_all_named_once(tmp_path: Path) -> None:
    folder = consolidated(tmp_path)
    assert len(io.read_json(folder / "lists.json")["made_by"]) == 1
    io.write_json(tmp_path / "00001.json", WRITER | {"model": "hub:org/other@v1"})
    again = tmp_path / "again"
    outputs = again / "lists.parquet", again / "lists.json", again / "README.md"
    consolidate.run(SETTINGS, tmp_path, tmp_path / "pool.json", *outputs)
    text = outputs[2].read_text(encoding="utf-8")
    assert text.count("Language model: `hub:org/writer@v1`") == text.count("Language model: `hub:org/other@v1`") == 1


def test_the_card_says_where_the_system_message_of_a_prompt_went(tmp_path: Path) -> None:
    for name, more, expected in (
        ("plain", {}, ":\n"),
        ("folded", {"system_message": "in X"}, " (system message in X):\n"),
    ):
        (tmp_path / name).mkdir()
        folder = consolidated(tmp_path / name, WRITER | more)
        assert f"SHA-256 `{'ab' * 32}`{expected}" in (folder / "README.md").read_text(encoding="utf-8")
        (made,) = io.read_json(folder / "lists.json")["made_by"]
        assert {key: made[key] for key in made if key == "system_message"} == more


def test_imported_lists_claim_no_language_model(tmp_path: Path) -> None:
    unknown = dict.fromkeys(("prompt", "prompt_sha256", "prompt_text"))
    made = {"imported": True, "model": "lists.csv", "revision": "r1", "sampling": {}} | unknown
    settings = config.complete({"lists": {"source": "import", "file": "lists.csv"}})
    card = DatasetCard((consolidated(tmp_path, made, settings, []) / "README.md").read_text(encoding="utf-8"))
    assert "Imported from `lists.csv`, revision r1" in card.text
    assert "Language model" not in card.text and "None" not in card.text
    assert "annotations_creators" not in card.data.to_dict() and "synthetic" not in card.data.tags


@pytest.mark.parametrize("model", ["imports/llama", "imported:x", "import"])
def test_no_name_of_a_language_model_makes_generated_lists_imported(tmp_path: Path, model: str) -> None:
    folder = consolidated(tmp_path, WRITER | {"model": model})
    card = DatasetCard((folder / "README.md").read_text(encoding="utf-8"))
    assert f"Language model: `{model}`" in card.text and "mported from" not in card.text
    assert card.data.to_dict()["annotations_creators"] == ["machine-generated"] and "synthetic" in card.data.tags
    assert [made["imported"] for made in io.read_json(folder / "lists.json")["made_by"]] == [False]
    assert set(io.read_table(folder / "lists.parquet")["model"].to_pylist()) == {model}


@pytest.mark.parametrize("count", [999, 1000, 10**7])
def test_a_size_category_holds_its_count(count: int) -> None:
    from rankrefine.consolidate.card import _size

    names = {999: "n<1K", 1000: "1K<n<10K", 10**7: "n>10M"}
    assert _size(count) == names[count]


def test_the_same_lists_give_the_same_card(tmp_path: Path) -> None:
    first, second = (consolidated(tmp_path / name) / "README.md" for name in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()
    assert json.loads((first.parent / "lists.json").read_text(encoding="utf-8"))["sources"] == {"wiki": 2}


def test_the_card_says_who_wrote_the_seed_sentences(tmp_path: Path) -> None:
    made = WRITER | {"prompt": "scratch", "sampling": {"temperature": 1.0, "redraws": 3}}
    folder = consolidated(tmp_path, made_by=[made])
    assert io.read_json(folder / "lists.json")["seeds"]["written"] == [made]
    assert (
        "Written by the language model `hub:org/writer@v1`, revision c0ffee, with the recipe `scratch`, SHA-256 "
        f"`{made['prompt_sha256']}`, and `{json.dumps(made['sampling'], sort_keys=True)}`."
    ) in (folder / "README.md").read_text(encoding="utf-8")
