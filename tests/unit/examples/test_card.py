"""Data set card of the training examples: it describes the table beside it."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import DatasetCard
from unit.examples import test_curate, test_run

from rankrefine import io
from rankrefine.assets.manifest import write_manifest
from rankrefine.config import load as config
from rankrefine.config.views import for_rule
from rankrefine.examples import curate
from rankrefine.examples import run as examples
from rankrefine.examples.card import COLUMNS

POOL = {
    "config": {"seeds": {"sources": [{"name": "wiki", "source": "hub:org/wiki@v2"}], "decontaminate": ["sts"]}},
    "assets": {"hub:org/wiki@v2": "beef"},
}

WRITER = {
    "model": "hub:org/writer@v1",
    "revision": "c0ffee",
    "prompt": "genres",
    "prompt_sha256": "ab",
    "sampling": {},
}


def card(folder: Path, pool: dict, data: Path | None = None, **section: object) -> str:
    """Run the stage without a scorer, and return the card."""
    (folder / "sts.jsonl").write_text('{"sentence1": "The door is open.", "sentence2": "x"}\n', encoding="utf-8")
    write_manifest(folder / "sts.json", source="sts", kind="dataset", path=folder / "sts.jsonl")
    io.write_json(folder / "pool.json", pool)
    section = {"recipe": "syncse_partial", "count": 2, **section}
    whole = {"examples": section, "seeds": {"decontaminate": ["sts"]}, "base": {"objective": "contrastive"}}
    given = for_rule(config.complete(whole), "examples")
    out = folder / "out"
    shards, seeds = (None, None) if data else (folder, folder / "pool.json")
    outputs = (out / "examples.parquet", out / "examples.json")
    examples.run(given, shards, data, [folder / "sts.json"], *outputs, seeds, out / "README.md")
    return (out / "README.md").read_text(encoding="utf-8")


def two(folder: Path) -> None:
    """Write a shard of two examples, one of which was given up."""
    good = {"sentence": "A cat sleeps here.", "same": "Here a cat rests.", "other": "A cat runs away."}
    rows = [good | {"source": "wiki"}, good | {"same": None, "other": None, "status": "cut off", "source": "wiki"}]
    test_run.shard(folder, "00000", rows)


def test_the_folder_opens_as_a_data_set_and_the_card_says_who_wrote_it(tmp_path: Path) -> None:
    from datasets import load_dataset

    two(tmp_path)
    text = card(tmp_path, POOL)
    opened = load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))["train"]
    assert opened.to_list() == io.read_table(tmp_path / "out" / "examples.parquet").to_pylist()
    parsed = DatasetCard(text)
    data = parsed.data.to_dict()
    assert DatasetCard(str(parsed)).data.to_dict() == data
    assert data["source_datasets"] == ["org/wiki"] and "synthetic" in data["tags"]
    for part in (
        *("1 examples", "1 of them with a negative", "Language model: `m`, revision 1", "Recipe: `p`, SHA-256 `0`:"),
        *("- wiki (`hub:org/wiki@v2`, revision beef): 1 examples", "Decontaminated against: `sts`", "    t"),
        *("1 of 2 examples passed the quality rules", "| given up: cut off | 1 |"),
    ):
        assert part in parsed.text, part
    assert [name for name in opened.column_names if f"| {name} | " not in parsed.text] == []
    assert "Scorer" not in parsed.text


def test_every_column_is_described() -> None:
    assert set(curate.SCHEMA.names) <= set(COLUMNS)


def test_writers_of_the_seed_sentences_are_named(tmp_path: Path) -> None:
    two(tmp_path)
    text = card(tmp_path, POOL | {"made_by": [WRITER]})
    assert "Written by the language model `hub:org/writer@v1`, revision c0ffee, with the recipe `genres`" in text


def test_imported_examples_claim_no_language_model(tmp_path: Path) -> None:
    test_run.imported(tmp_path, [test_run.GOOD])
    text = card(tmp_path, {}, tmp_path / "a.json", recipe="import", file="a.jsonl")
    assert "Imported from `a.jsonl`, revision r1" in text and "- a.jsonl: 1 examples" in text
    assert "synthetic" not in text and "Language model:" not in text and "None" not in text


def test_the_card_of_chosen_examples_names_the_scorer_and_both_steps(tmp_path: Path) -> None:
    test_curate.run(tmp_path, [(0.75, 0.5), (0.25, 0.75), (0.1, None)], min_positive=0.5)
    parsed = DatasetCard((tmp_path / "README.md").read_text(encoding="utf-8"))
    (config_,) = parsed.data.to_dict()["configs"]
    assert config_["data_files"] == [{"split": "train", "path": "curated.parquet"}]
    for part in (
        *("2 examples for the training", "`hub:org/scorer@v1`, revision r7", "2 of 3 examples were chosen"),
        *(
            "(1 changed the roles of positive and negative)",
            "| min_positive | 0.5 |",
            "| positive: below min_positive | 1 |",
        ),
        *("3 of 4 examples passed the quality rules", "| positive: empty | 1 |", "| score_negative |"),
    ):
        assert part in parsed.text, part
