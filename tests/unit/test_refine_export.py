"""The choice of the encoder that a run hands out."""

from __future__ import annotations

from pathlib import Path

import pytest

from rankrefine import io
from rankrefine.assets.manifest import write_manifest
from rankrefine.errors import UserError
from rankrefine.refine import export

SCORES = """model,task,metric,value,ci_low,ci_high
base,STSBenchmark,spearman,82.03,80.1,83.9
refined,STSBenchmark,spearman,82.66,80.8,84.5
refined,STSBenchmark,delta,0.63,0.2,1.1
other,STSBenchmark,spearman,99.99,99.9,100.0
"""


def candidate(folder: Path, seed: int, score: float, base: float = 86.72, name: str = "refined") -> tuple[Path, Path]:
    place = folder / name / str(seed)
    (place / "model" / "1_Pooling").mkdir(parents=True)
    (place / "model" / "weights").write_text(f"weights {seed}")
    (place / "model" / "1_Pooling" / "config.json").write_text("{}")
    write_manifest(place / "model.json", source="refined", kind="model", path=place / "model")
    improved = score > base
    fields = {"name": name, "seed": seed, "best_development": score, "base_development": base, "lists": 315}
    fields |= {"best_step": 250 if improved else 0, "improved": improved}
    io.write_json(place / "history.json", fields | {"base": {"model": "embedded:minilm", "revision": "r1"}})
    return place / "model.json", place / "history.json"


def exported(folder: Path, *scores: float) -> tuple[str, dict]:
    """Export the best of candidates with these scores and seeds 1, 2, ...: its card and the selection."""
    (folder / "scores.csv").write_text(SCORES)
    manifests, histories = zip(*(candidate(folder, i, score) for i, score in enumerate(scores, 1)), strict=True)
    output = folder / "encoder"
    rest = (folder / "selection.json", folder / "experiments.md")
    export.run(list(manifests), list(histories), folder / "scores.csv", output, *rest)
    return (output / "README.md").read_text(), io.read_json(folder / "selection.json")


def test_the_best_development_score_wins(tmp_path: Path):
    card, selection = exported(tmp_path, 86.9, 87.15, 87.0)
    assert (tmp_path / "encoder" / "weights").read_text() == "weights 2"
    assert (tmp_path / "encoder" / "1_Pooling" / "config.json").is_file()
    assert selection["chosen"] == "refined/2"
    assert selection["why"] == ("refined/2: development score 87.15, against 86.72 of its base; best of its 3 seeds.")
    assert [each["development"] for each in selection["candidates"]] == [86.9, 87.15, 87.0]
    assert "embedded:minilm" in card
    assert "87.15" in card
    assert 'SentenceTransformer("FOLDER")' in card


def test_the_best_mean_wins_and_not_the_luckiest_seed(tmp_path: Path):
    scores = tmp_path / "scores.csv"
    scores.write_text(
        "model,task,metric,value,ci_low,ci_high\n"
        "steady/1,STS,spearman,82.0,,\nsteady/2,STS,spearman,82.4,,\nlucky/1,STS,spearman,80.0,,\n"
    )
    pairs = [candidate(tmp_path, seed, score, name="steady") for seed, score in ((1, 87.2), (2, 87.3))]
    pairs += [candidate(tmp_path, seed, score, name="lucky") for seed, score in ((1, 86.0), (2, 87.9))]
    manifests, histories = zip(*pairs, strict=True)
    outputs = tmp_path / "encoder", tmp_path / "selection.json", tmp_path / "experiments.md"
    export.run(list(manifests), list(histories), scores, *outputs)
    assert io.read_json(outputs[1])["chosen"] == "steady/2"
    assert "best mean of 2 experiments, best of its 2 seeds" in io.read_json(outputs[1])["why"]
    rows = [line for line in outputs[2].read_text().splitlines() if line.startswith("| ")]
    assert rows[2:] == [
        "| **steady** | 2 | 87.25 ± 0.07 | +0.53 ± 0.07 | 82.20 ± 0.28 |",
        "| lucky | 2 | 86.95 ± 1.34 | +0.23 ± 1.34 | 80.00 |",
    ]


def test_the_card_has_the_scores_of_base_and_chosen_alone(tmp_path: Path):
    card, _ = exported(tmp_path, 87.0)
    rows = [line for line in card.splitlines() if "STSBenchmark" in line]
    assert rows == [
        "| base | STSBenchmark | spearman | 82.03 | 80.1 | 83.9 |",
        "| refined | STSBenchmark | spearman | 82.66 | 80.8 | 84.5 |",
        "| refined | STSBenchmark | delta | 0.63 | 0.2 | 1.1 |",
    ]


def test_of_equal_scores_the_first_wins(tmp_path: Path):
    assert exported(tmp_path, 87.0, 87.0)[1]["chosen"] == "refined/1"


def test_no_improvement_is_said_aloud(tmp_path: Path):
    card, selection = exported(tmp_path, 86.72)
    assert selection["why"] == (
        "refined/1: no training step beat the development score before training (86.72), so it holds those weights; "
        "the only candidate."
    )
    assert "these are the weights before training" in card


def test_an_old_export_is_replaced(tmp_path: Path):
    (tmp_path / "encoder").mkdir()
    (tmp_path / "encoder" / "old").write_text("old")
    exported(tmp_path, 87.0)
    assert not (tmp_path / "encoder" / "old").exists()


def test_unusable_input_is_refused(tmp_path: Path):
    manifest, history = candidate(tmp_path, 1, 87.0)
    scores = tmp_path / "scores.csv"
    scores.write_text(SCORES)
    rest = (tmp_path / "encoder", tmp_path / "selection.json", tmp_path / "experiments.md")
    with pytest.raises(UserError, match="1 manifests but 2 histories"):
        export.run([manifest], [history, history], scores, *rest)
    with pytest.raises(UserError, match=r"There is no file .*none\.csv"):
        export.run([manifest], [history], tmp_path / "none.csv", *rest)
    scores.write_text("model,task\nbase,STS\n")
    with pytest.raises(UserError, match="has no column 'metric'"):
        export.run([manifest], [history], scores, *rest)
    io.write_json(history, {"name": "refined"})
    with pytest.raises(UserError, match=r"history\.json is no training history"):
        export.run([manifest], [history], scores, *rest)
    assert not any(path.exists() for path in rest)
