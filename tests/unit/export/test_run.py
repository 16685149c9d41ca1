"""Choice of the exported encoder, model cards and the table of experiments."""

from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from rankrefine import io
from rankrefine.assets.manifest import write_manifest
from rankrefine.errors import UserError
from rankrefine.export import run as export
from rankrefine.export.card import OLDEST

SCORES = """model,seeds,task,subset,metric,n,value,sd,ci_low,ci_high,delta,delta_sd,delta_low,delta_high,higher
base,1,STSBenchmark,all,spearman,1379,82.03,,80.1,83.9,,,,,True
base,1,STSBenchmark,main-news,spearman,500,70.0,,,,,,,,True
base,1,Representation,all,uniformity,1379,-2.5,,,,,,,,False
refined,1,STSBenchmark,all,spearman,1379,82.66,,80.8,84.5,0.63,,0.2,1.1,True
refined,1,STSBenchmark,main-news,spearman,500,71.0,,,,1.0,,,,True
refined,1,Representation,all,uniformity,1379,-2.4567,,,,0.0433,,,,False
refined,1,EvalRank,all,mrr,100,55.5,,,,0.5,,,,True
refined,1,average (sts),all,spearman,7,80.0,,,,1.0,,,,True
other,1,STSBenchmark,all,spearman,1379,99.99,,99.9,100.0,1,,1,1,True
"""
HEADER = SCORES.splitlines()[0]
SEVERAL = f"""{HEADER}
base,1,STS,all,spearman,9,81,,,,,,,,True
steady/1,1,STS,all,spearman,9,82.0,,81,83,1,,0.5,1.5,True
steady/2,1,STS,all,spearman,9,82.4,,81,83,1.4,,0.5,1.5,True
steady,2,STS,all,spearman,9,82.2,0.28,81,83,1.2,0.28,0.5,1.5,True
steady/1,1,STS,part,spearman,9,10.0,,,,,,,,True
lucky/1,1,STS,all,spearman,9,80.0,,,,-1,,,,True
"""
LISTS = {
    **{"read": 320, "kept": 315, "sources": {"wiki": 315}},
    "made_by": [{"model": "hub:org/llm@v1", "revision": "c0ffee", "prompt": "few_shot", "sampling": '{"top_p": 1.0}'}],
    "seeds": {"sources": [{"name": "wiki", "source": "hub:org/wiki@v2"}], "decontaminate": ["embedded:stsb"]},
}


BASE = "hub:org/base@v9"


def candidate(folder: Path, seed: int, score: float, base: float = 86.72, name: str = "refined") -> tuple[Path, Path]:
    path = folder / name / str(seed)
    (path / "model" / "1_Pooling").mkdir(parents=True)
    (path / "model" / "weights").write_text(f"weights {seed}")
    (path / "model" / "1_Pooling" / "config.json").write_text("{}")
    write_manifest(path / "model.json", source="refined", kind="model", path=path / "model")
    improved = score > base
    fields = {"name": name, "seed": seed, "best_development": score, "base_development": base, "lists": 315}
    fields |= {"best_step": 250 if improved else 0, "improved": improved}
    fields |= {"base": {"model": BASE, "revision": "r1"}, "config": {"refine": {"omega": 0.5, "max_length": 128}}}
    fields |= {"teachers": [{"model": "hub:org/teacher@v3", "revision": "t1", "weight": 1.0}]}
    fields |= {"development_data": {"source": "embedded:stsb", "revision": "s1"}}
    io.write_json(path / "history.json", fields)
    return path / "model.json", path / "history.json"


def export_best(folder: Path, *scores: float) -> tuple[str, dict]:
    """Export the best of candidates with these scores and seeds 1, 2, ...: its card and the selection."""
    (folder / "scores.csv").write_text(SCORES)
    io.write_json(folder / "lists.json", LISTS)
    manifests, histories = zip(*(candidate(folder, i, score) for i, score in enumerate(scores, 1)), strict=True)
    export.run(list(manifests), list(histories), folder / "scores.csv", folder / "lists.json", *outputs(folder))
    return (folder / "encoder" / "README.md").read_text(), io.read_json(folder / "selection.json")


def outputs(folder: Path) -> tuple[Path, ...]:
    return tuple(folder / name for name in ("encoder", "cards", "selection.json", "experiments.md"))


def test_the_best_development_score_wins(tmp_path: Path):
    card, selection = export_best(tmp_path, 86.9, 87.15, 87.0)
    assert (tmp_path / "encoder" / "weights").read_text() == "weights 2"
    assert (tmp_path / "encoder" / "1_Pooling" / "config.json").is_file()
    assert selection["chosen"] == "refined/2"
    assert selection["why"] == "refined/2: development score 87.15, base 86.72; best of its 3 seeds."
    assert [each["development"] for each in selection["candidates"]] == [86.9, 87.15, 87.0]
    assert card == (tmp_path / "cards" / "refined" / "2.md").read_text()
    assert len(list(tmp_path.glob("cards/refined/*.md"))) == 3


def test_the_best_mean_wins_and_not_the_luckiest_seed(tmp_path: Path):
    scores = tmp_path / "scores.csv"
    scores.write_text(SEVERAL)
    io.write_json(tmp_path / "lists.json", LISTS)
    pairs = [candidate(tmp_path, seed, score, name="steady") for seed, score in ((1, 87.2), (2, 87.3))]
    pairs += [candidate(tmp_path, seed, score, name="lucky") for seed, score in ((1, 86.0), (2, 87.9))]
    manifests, histories = zip(*pairs, strict=True)
    encoder, cards, selection, table = outputs(tmp_path)
    export.run(list(manifests), list(histories), scores, tmp_path / "lists.json", encoder, cards, selection, table)
    assert io.read_json(selection)["chosen"] == "steady/2"
    assert "best mean of 2 experiments, best of its 2 seeds" in io.read_json(selection)["why"]
    rows = [line for line in table.read_text().splitlines() if line.startswith("| ")]
    assert rows[2:] == [
        "| **steady** | 2 | 87.25 ± 0.07 | +0.53 ± 0.07 | 82.20 ± 0.28 |",
        "| lucky | 2 | 86.95 ± 1.34 | +0.23 ± 1.34 | 80.00 |",
    ]


def test_the_mean_over_seeds_is_listed_beside_the_seed(tmp_path: Path):
    test_the_best_mean_wins_and_not_the_luckiest_seed(tmp_path)
    card = ModelCard((tmp_path / "encoder" / "README.md").read_text())
    assert "| STS | all | spearman | 9 | 81.00 | 82.40 [81.00, 83.00] | +1.40 [+0.50, +1.50] |" in card.text
    assert "the 2 seeds of steady:" in card.text
    assert "| STS | spearman | 82.20 ± 0.28 | +1.20 ± 0.28 |" in card.text
    assert [result.metric_value for result in card.data.eval_results] == [82.4]


def test_the_metadata_survive_a_round_trip_and_contain_the_scores(tmp_path: Path):
    card = ModelCard(export_best(tmp_path, 87.0)[0])
    data = card.data.to_dict()
    assert ModelCard(str(card)).data.to_dict() == data
    assert (data["library_name"], data["pipeline_tag"]) == ("sentence-transformers", "sentence-similarity")
    assert data["base_model"] == "org/base"
    assert not {"license", "language"} & set(data), "neither is known"
    (model,) = data["model-index"]
    assert model["name"] == "refined/1"
    (result,) = model["results"]
    assert result["task"]["type"] == "STS"
    assert result["dataset"]["name"] == "STSBenchmark"
    (metric,) = result["metrics"]
    assert (metric["type"], metric["value"]) == ("spearman", 82.66)


@pytest.mark.parametrize("source", ["embedded:minilm", "models/mine", "base:models/mine"])
def test_a_base_that_is_not_on_the_hub_is_described_in_words_alone(tmp_path: Path, monkeypatch, source: str):
    monkeypatch.setitem(globals(), "BASE", source)
    card = ModelCard(export_best(tmp_path, 87.0)[0])
    assert "base_model" not in card.data.to_dict()
    assert f"`{source}`, revision r1" in card.text


def test_an_encoder_prepared_from_a_hub_model_names_it(tmp_path: Path, monkeypatch):
    monkeypatch.setitem(globals(), "BASE", "base:hub:org/bert@v1")
    assert ModelCard(export_best(tmp_path, 87.0)[0]).data.base_model == "org/bert"


def test_the_card_has_the_scores_of_base_and_chosen_alone(tmp_path: Path):
    card, _ = export_best(tmp_path, 87.0)
    rows = [line for line in card.splitlines() if line.startswith(("| STS", "| Rep", "| Eval", "| average"))]
    assert rows == [
        "| STSBenchmark | all | spearman | 1379 | 82.03 [80.10, 83.90] | 82.66 [80.80, 84.50] "
        "| +0.63 [+0.20, +1.10] |",
        "| STSBenchmark | main-news | spearman | 500 | 70.00 | 71.00 | +1.00 |",
        "| Representation | all | uniformity | 1379 | -2.500 | -2.457 | +0.043 |",
        "| EvalRank | all | mrr | 100 |  | 55.50 | +0.50 |",
        "| average (sts) | all | spearman | 7 |  | 80.00 | +1.00 |",
    ]
    assert "99.99" not in card


def test_the_card_names_the_origin_of_imported_lists(tmp_path: Path, monkeypatch):
    origin = {"imported": True, "model": "lists.csv", "revision": "i1", "prompt": None, "sampling": "{}"}
    monkeypatch.setitem(LISTS, "made_by", [origin])
    card = export_best(tmp_path, 87.0)[0]
    assert "- Imported from: `lists.csv`, revision i1\n" in card
    assert "Generated by" not in card


def test_the_card_names_all_inputs_of_the_training(tmp_path: Path):
    text = ModelCard(export_best(tmp_path, 87.15)[0]).text
    for part in (
        *("`hub:org/base@v9`, revision r1", "Teacher: `hub:org/teacher@v3`, revision t1", "step 250", "omega: 0.5"),
        *("`hub:org/llm@v1`, revision c0ffee, prompt `few_shot`", "wiki (`hub:org/wiki@v2`): 315 lists"),
        *("315 of 320 passed", "embedded:stsb, revision s1", "base 86.72", "87.15", "truncated to 128 tokens"),
        *(
            'SentenceTransformer("FOLDER")',
            "Random seed of the training: 1",
            "excluded from the seed sentences: `embedded:stsb`",
        ),
    ):
        assert part in text.replace("\n", " ") or part in text, part


def test_the_card_and_the_documents_name_the_oldest_version_that_was_tested(tmp_path: Path):
    root = Path(__file__).parents[3]
    documents = [(root / name).read_text(encoding="utf-8") for name in ("README.md", "docs/usage.md")]
    for text in (export_best(tmp_path, 87.0)[0], *documents):
        assert f"sentence-transformers {OLDEST}" in " ".join(text.split())


WRITTEN = {"model": "hub:org/llm@v1", "revision": "c0", "prompt": "mine", "prompt_sha256": "ab", "sampling": "{}"}
RECORDS = {
    "base": {
        **{"base": {"model": "hub:org/bert@v1", "revision": "b1"}, "examples": 218, "base_development": 63.0},
        **{"best_development": 67.1, "best_step": 40, "improved": True},
        "guides": [{"model": "hub:org/guide@v1", "revision": "g1", "weight": 1.0}],
        "config": {"base": {"objective": "masked_contrastive", "data": None}},
    },
    "examples": {"read": 320, "kept": 305, "made_by": [WRITTEN]},
    "rate": {"scorer": {"model": "hub:org/scorer@v1", "revision": "s7"}},
    "curate": {"read": 305, "kept": 218, "swapped": 12, "repaired": 3, "random_pairs": 4},
}


def card_of_trained_base(folder: Path, **records: dict) -> str:
    """Export an encoder whose base has these records, and return its card."""
    (folder / "scores.csv").write_text(SCORES)
    io.write_json(folder / "lists.json", LISTS)
    manifest, history = candidate(folder, 1, 87.0)
    paths = [folder / f"{stage}.json" for stage in records]
    for path, (stage, record) in zip(paths, records.items(), strict=True):
        io.write_json(path, {"stage": stage} | record)
    export.run([manifest], [history], folder / "scores.csv", folder / "lists.json", *outputs(folder), paths)
    return (folder / "encoder" / "README.md").read_text()


def test_the_card_tells_how_the_base_was_trained(tmp_path: Path):
    card = card_of_trained_base(tmp_path, **RECORDS)
    for part in (
        *("Start: `hub:org/bert@v1`, revision b1", "masked_contrastive, on 218 training examples"),
        *("Guide: `hub:org/guide@v1`, revision g1", "63.00 before, 67.10 after (step 40)", "305 of 320 passed"),
        *("written by: `hub:org/llm@v1`, revision c0, recipe `mine`, SHA-256 `ab`", "a distillation of it"),
        *("Scorer: `hub:org/scorer@v1`, revision s7", "218 of 305", "(12 changed roles, 3 repaired; 4 random"),
        *("pairs added)", "Nobody checked the training"),
    ):
        assert part in card, part
    headings = [line for line in card.splitlines() if line.startswith("## ")]
    assert headings[-3:] == ["## Training", "## Training of the base encoder", "## Limitations"]


def test_a_base_trained_on_other_data_has_no_examples_in_the_card(tmp_path: Path):
    for number, (data, expected) in enumerate(
        ((None, "seed sentences"), ("hub:org/nli@v1", "examples of `hub:org/nli"))
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        config = {"base": {"objective": "simcse_unsup", "data": data}}
        unchanged = {"improved": False, "best_step": 0, "best_development": 63.0, "guides": []}
        card = card_of_trained_base(folder, base=RECORDS["base"] | unchanged | {"config": config})
        assert f"simcse_unsup, on 218 {expected}" in card and "so the start was kept" in card
        assert "Examples" not in card and "Guide" not in card and "Nobody checked" not in card


def test_imported_examples_are_named_in_the_card(tmp_path: Path):
    origin = {"model": "a.csv", "revision": "r1", "imported": True}
    examples = RECORDS["examples"] | {"made_by": [origin]}
    card = card_of_trained_base(tmp_path, base=RECORDS["base"], examples=examples)
    assert "Examples imported from: `a.csv`, revision r1" in card and "Scorer" not in card


def test_the_card_names_writers_of_seed_sentences(tmp_path: Path, monkeypatch):
    monkeypatch.setitem(LISTS, "seeds", LISTS["seeds"] | {"written": [WRITTEN]})
    assert (
        "- Seed sentences: written by `hub:org/llm@v1`, revision c0, recipe `mine`\n" in export_best(tmp_path, 87.0)[0]
    )


def test_a_record_of_the_base_without_a_field_is_one_sentence(tmp_path: Path):
    records = {stage: dict(record) for stage, record in RECORDS.items()}
    del records["rate"]["scorer"]
    with pytest.raises(UserError, match=r"rate\.json is not a record of rate \('scorer' is missing\); delete it"):
        card_of_trained_base(tmp_path, **records)


def test_of_equal_scores_the_first_wins(tmp_path: Path):
    assert export_best(tmp_path, 87.0, 87.0)[1]["chosen"] == "refined/1"


def test_a_training_without_improvement_is_reported(tmp_path: Path):
    card, selection = export_best(tmp_path, 86.72)
    assert selection["why"] == (
        "refined/1: no training step improved the development score of the base (86.72), so the weights are those "
        "before training; the only candidate."
    )
    assert "these are the weights before training" in " ".join(card.split())


def test_an_old_export_is_replaced(tmp_path: Path):
    (tmp_path / "encoder").mkdir()
    (tmp_path / "encoder" / "old").write_text("old")
    export_best(tmp_path, 87.0)
    assert not (tmp_path / "encoder" / "old").exists()


def test_unusable_input_is_refused(tmp_path: Path):
    manifest, history = candidate(tmp_path, 1, 87.0)
    scores = tmp_path / "scores.csv"
    scores.write_text(SCORES)
    lists = tmp_path / "lists.json"
    io.write_json(lists, LISTS)
    rest = (lists, *outputs(tmp_path))
    with pytest.raises(UserError, match="1 manifests but 2 histories"):
        export.run([manifest], [history, history], scores, *rest)
    with pytest.raises(UserError, match=r"There is no file .*none\.csv"):
        export.run([manifest], [history], tmp_path / "none.csv", *rest)
    scores.write_text("model,seeds,task\nbase,1,STS\n")
    with pytest.raises(UserError, match=r"is not a score table \(no column 'subset'\)"):
        export.run([manifest], [history], scores, *rest)
    scores.write_text(SCORES.replace("82.66", "high"))
    with pytest.raises(UserError, match=r"scores.csv, line 5: value is 'high', not a number"):
        export.run([manifest], [history], scores, *rest)
    scores.write_text(SCORES)
    io.write_json(lists, {"read": 3})
    with pytest.raises(UserError, match=r"lists.json is not a record of ranking lists \('kept' is missing\)"):
        export.run([manifest], [history], scores, *rest)
    io.write_json(history, {"name": "refined"})
    with pytest.raises(UserError, match=r"history\.json is not a training record \('seed' is missing\)"):
        export.run([manifest], [history], scores, *rest)
    assert not any(path.exists() for path in rest[1:])


def test_the_card_says_who_wrote_the_seed_sentences(tmp_path: Path, monkeypatch) -> None:
    written = [{"model": "hub:org/llm@v1", "revision": "c0ffee", "prompt": "scratch"}]
    monkeypatch.setitem(LISTS, "seeds", LISTS["seeds"] | {"written": written})
    card, _ = export_best(tmp_path, 87.0)
    assert "- Seed sentences: written by `hub:org/llm@v1`, revision c0ffee, recipe `scratch`" in card
