"""The score table from results of `evaluate`."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from rankrefine import config
from rankrefine.errors import UserError
from rankrefine.evaluate import scores

SETTING = config.complete({"evaluate": {"resamples": 500}})


def _result(folder: Path, model: str, task: str = "STSBenchmark", noise: float = 1.0, n: int = 60) -> Path:
    rng = np.random.default_rng([n, len(task)])
    gold = np.round(rng.uniform(0, 5, n), 1)
    predicted = gold + noise * rng.normal(size=n)
    path = folder / f"{model.replace('/', '-')}-{task}.json"
    fields = {"task": task, "model": model, "metric": "spearman", "value": 100 * spearmanr(gold, predicted).statistic}
    path.write_text(json.dumps(fields | {"gold": gold.tolist(), "predicted": predicted.tolist()}))
    return path


def _run(folder: Path, *results: Path) -> list[dict[str, str]]:
    scores.run(SETTING, list(results), folder / "scores.csv", folder / "scores.md")
    with open(folder / "scores.csv", newline="") as stream:
        return list(csv.DictReader(stream))


def test_columns_and_rows(tmp_path: Path) -> None:
    base, refined = _result(tmp_path, "base"), _result(tmp_path, "refined/2024", noise=0.3)
    rows = _run(tmp_path, base, refined)
    header = (tmp_path / "scores.csv").read_text().splitlines()[0]
    assert header == "model,task,metric,value,ci_low,ci_high"
    assert [(r["model"], r["metric"]) for r in rows] == [
        ("base", "spearman"),
        ("refined", "spearman"),
        ("refined", "delta"),
    ]
    values = {(r["model"], r["metric"]): [float(r[k]) for k in ("ci_low", "value", "ci_high")] for r in rows}
    for low, value, high in values.values():
        assert low < value < high
    assert values["refined", "delta"][1] == pytest.approx(
        values["refined", "spearman"][1] - values["base", "spearman"][1], abs=2e-4
    )
    assert values["refined", "delta"][0] > 0  # far less noise is surely better
    assert values["base", "spearman"][1] == pytest.approx(json.loads(base.read_text())["value"], abs=1e-4)


def test_paired_interval_is_narrower_than_unpaired(tmp_path: Path) -> None:
    rows = _run(tmp_path, _result(tmp_path, "base"), _result(tmp_path, "refined/1", noise=1.05))
    width = {(r["model"], r["metric"]): float(r["ci_high"]) - float(r["ci_low"]) for r in rows}
    assert width["refined", "delta"] < 0.3 * width["base", "spearman"]


def test_equal_models_have_an_empty_delta(tmp_path: Path) -> None:
    rows = _run(tmp_path, _result(tmp_path, "base"), _result(tmp_path, "refined/1"))
    assert [rows[2][key] for key in ("value", "ci_low", "ci_high")] == ["0.0000"] * 3


def test_another_task_changes_nothing(tmp_path: Path) -> None:
    results = [_result(tmp_path, model) for model in ("base", "refined/1")]
    alone = _run(tmp_path, *results)
    more = [_result(tmp_path, model, task="SICK-R", n=40) for model in ("base", "refined/1")]
    both = _run(tmp_path, *results, *more)
    assert [row for row in both if row["task"] == "STSBenchmark"] == alone
    assert [row["task"] for row in both] == ["STSBenchmark", "SICK-R"] + 2 * ["STSBenchmark"] + 2 * ["SICK-R"]


def test_same_input_same_bytes(tmp_path: Path) -> None:
    results = [_result(tmp_path, model) for model in ("base", "refined/1")]
    _run(tmp_path, *results)
    first = [(tmp_path / name).read_bytes() for name in ("scores.csv", "scores.md")]
    _run(tmp_path, *results)
    assert [(tmp_path / name).read_bytes() for name in ("scores.csv", "scores.md")] == first


def test_seeds_are_named_where_there_are_several(tmp_path: Path) -> None:
    several = [_result(tmp_path, model) for model in ("base", "refined/1", "refined/2", "other/1")]
    assert dict.fromkeys(row["model"] for row in _run(tmp_path, *several)) == dict.fromkeys(
        ["base", "refined/1", "refined/2", "other"]
    )


def test_table_has_one_line_per_task(tmp_path: Path) -> None:
    tasks = ("STSBenchmark", "SICK-R")
    _run(tmp_path, *(_result(tmp_path, model, task) for task in tasks for model in ("base", "refined/1")))
    lines = (tmp_path / "scores.md").read_text().splitlines()
    assert [text.strip() for text in lines[0].strip("|").split("|")] == [
        "task",
        "pairs",
        "base",
        "refined",
        "refined - base",
    ]
    assert [line.split()[1] for line in lines[2:4]] == list(tasks)
    assert len({len(line) for line in lines[:4]}) == 1  # aligned
    assert "+0.00 [+0.00, +0.00]" in lines[2]


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ([("refined/1", 60)], "no result of base on STSBenchmark"),
        ([("base", 60), ("base", 60)], "two results of base on STSBenchmark"),
        (
            [("base", 60), ("refined/1", 50)],
            r"refined/1 \(50 pairs\) and base \(60 pairs\) were evaluated on different",
        ),
    ],
)
def test_results_that_do_not_fit(tmp_path: Path, models: list[tuple[str, int]], message: str) -> None:
    with pytest.raises(UserError, match=message):
        _run(tmp_path, *(_result(tmp_path, model, n=n) for model, n in models))
    assert not (tmp_path / "scores.csv").exists()


def test_other_gold_scores_do_not_fit(tmp_path: Path) -> None:
    base, refined = _result(tmp_path, "base"), _result(tmp_path, "refined/1")
    changed = json.loads(refined.read_text())
    changed["gold"][0] += 1
    refined.write_text(json.dumps(changed))
    with pytest.raises(UserError, match="evaluated on different pairs of STSBenchmark"):
        _run(tmp_path, base, refined)


@pytest.mark.parametrize(
    ("change", "message"), [({"gold": None}, "is not a result of evaluate"), ({"gold": [1]}, "has 1 gold scores")]
)
def test_damaged_result(tmp_path: Path, change: dict, message: str) -> None:
    path = _result(tmp_path, "base")
    fields = json.loads(path.read_text()) | change
    path.write_text(json.dumps({key: value for key, value in fields.items() if value is not None}))
    with pytest.raises(UserError, match=message):
        _run(tmp_path, path)
