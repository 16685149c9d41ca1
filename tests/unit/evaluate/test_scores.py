"""Score tables from results of `evaluate`."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from rankrefine import io
from rankrefine.config import load as config
from rankrefine.errors import UserError
from rankrefine.evaluate import scores
from rankrefine.evaluate.catalogue import SUITES
from rankrefine.evaluate.metric import Metric


def _pairs(n: int, noise: float, salt: int) -> Metric:
    rng = np.random.default_rng([n, salt])
    gold = np.round(rng.uniform(0, 5, n), 1)
    predicted = gold + noise * rng.normal(size=n)
    return Metric("spearman", 100 * spearmanr(gold, predicted).statistic, gold=gold, predicted=predicted)


def _result(folder: Path, model: str, task: str = "STSBenchmark", noise: float = 1.0, n: int = 60, **fields) -> Path:
    return _written(folder, model, task, [_pairs(n, noise, len(task))], **fields)


def _written(folder: Path, model: str, task: str, metrics: list[Metric], **fields) -> Path:
    path = folder / model / f"{task}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    meta = {"name": f"rankrefine/{model.replace('/', '-')}", "revision": "r1"}
    result = {"task": task, "model": model, "revision": "r1", "texts": f"of {task}"}
    result |= {"metrics": [metric.as_dict() for metric in metrics]}
    result |= {"mteb": {"result": {"task_name": task}, "model_meta": meta}}
    path.write_text(json.dumps(result | fields))
    return path


def _model(folder: Path, result: Path) -> str:
    return result.parent.relative_to(folder).as_posix()


def _run(folder: Path, *results: Path, **settings) -> list[dict[str, str]]:
    completed = config.complete({"evaluate": {"resamples": 500} | settings})
    names = ("scores.csv", "scores.parquet", "scores.md", "mteb")
    models = list(dict.fromkeys(_model(folder, path) for path in results))
    tasks = list(dict.fromkeys(path.stem for path in results))
    scores.run(completed, folder, models, tasks, *(folder / name for name in names))
    with open(folder / "scores.csv", newline="") as stream:
        return list(csv.DictReader(stream))


def test_columns_and_rows(tmp_path: Path) -> None:
    base, refined = _result(tmp_path, "base"), _result(tmp_path, "refined/2024", noise=0.3)
    first, second = _run(tmp_path, base, refined)
    header = (tmp_path / "scores.csv").read_text().splitlines()[0]
    assert header == (
        "model,seeds,task,subset,metric,n,value,sd,ci_low,ci_high,delta,delta_sd,delta_low,delta_high,higher"
    )
    assert [(row["model"], row["seeds"], row["n"]) for row in (first, second)] == [
        ("base", "1", "60"),
        ("refined", "1", "60"),
    ]
    for row in (first, second):
        assert float(row["ci_low"]) < float(row["value"]) < float(row["ci_high"])
    assert float(second["delta_low"]) < float(second["delta"]) < float(second["delta_high"])
    assert float(second["delta"]) == pytest.approx(float(second["value"]) - float(first["value"]), abs=2e-4)
    assert float(second["delta_low"]) > 0  # far less noise is surely better
    assert first["delta"] == first["sd"] == second["sd"] == ""
    assert float(first["value"]) == pytest.approx(json.loads(base.read_text())["metrics"][0]["value"], abs=1e-4)


def test_parquet_has_the_same_rows(tmp_path: Path) -> None:
    rows = _run(tmp_path, _result(tmp_path, "base"), _result(tmp_path, "refined/1", noise=0.5))
    table = io.read_table(tmp_path / "scores.parquet").to_pylist()
    assert [list(row) for row in table] == [list(row) for row in rows]
    assert [row["value"] for row in table] == pytest.approx([float(row["value"]) for row in rows], abs=1e-4)


def test_paired_interval_is_narrower_than_unpaired(tmp_path: Path) -> None:
    base, refined = _run(tmp_path, _result(tmp_path, "base"), _result(tmp_path, "refined/1", noise=1.05))
    width = float(base["ci_high"]) - float(base["ci_low"])
    assert float(refined["delta_high"]) - float(refined["delta_low"]) < 0.3 * width


def test_equal_models_have_an_empty_delta(tmp_path: Path) -> None:
    _, refined = _run(tmp_path, _result(tmp_path, "base"), _result(tmp_path, "refined/1"))
    assert [refined[key] for key in ("delta", "delta_low", "delta_high")] == ["0.0000"] * 3


def test_another_task_changes_nothing(tmp_path: Path) -> None:
    results = [_result(tmp_path, model) for model in ("base", "refined/1")]
    alone = _run(tmp_path, *results)
    more = [_result(tmp_path, model, task="SICK-R", n=40) for model in ("base", "refined/1")]
    both = _run(tmp_path, *results, *more)
    assert [row for row in both if row["task"] == "STSBenchmark"] == alone
    assert [row["task"] for row in both] == 2 * ["STSBenchmark", "SICK-R"]


def test_tasks_of_the_same_size_are_resampled_apart(tmp_path: Path) -> None:
    metric = _pairs(60, 1.0, 0)
    rows = _run(tmp_path, *(_written(tmp_path, "base", task, [metric]) for task in ("STS12", "STS13")))
    assert rows[0]["value"] == rows[1]["value"]
    assert rows[0]["ci_low"] != rows[1]["ci_low"]


def test_seeds_are_averaged_with_their_spread(tmp_path: Path) -> None:
    noise = {"base": 1.0, "refined/1": 0.7, "refined/2": 0.9, "other/1": 1.1}
    rows = _run(tmp_path, *(_result(tmp_path, model, noise=level) for model, level in noise.items()))
    assert [(row["model"], row["seeds"]) for row in rows] == [
        ("base", "1"),
        ("refined", "2"),
        ("refined/1", "1"),
        ("refined/2", "1"),
        ("other", "1"),
    ]
    base, mean, *seeds, _ = rows
    values = [float(row["value"]) for row in seeds]
    assert float(mean["value"]) == pytest.approx(np.mean(values), abs=1e-3)
    assert float(mean["sd"]) == float(mean["delta_sd"]) == pytest.approx(np.std(values, ddof=1), abs=1e-3)
    assert float(mean["delta"]) == pytest.approx(np.mean(values) - float(base["value"]), abs=1e-3)
    assert "Means over 2 random seeds ±" in (tmp_path / "scores.md").read_text()  # and not over 1, which `other` has


def test_means_of_units_are_resampled_pairwise(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    precision = rng.uniform(0, 100, 80)
    better = np.minimum(precision + rng.uniform(0, 2, 80), 100)
    metrics = [Metric("map", values.mean(), scores=values) for values in (precision, better)]
    paths = [_written(tmp_path, m, "SciDocsRR", [x]) for m, x in zip(("base", "refined/1"), metrics, strict=True)]
    base, refined = _run(tmp_path, *paths)
    assert float(refined["delta_low"]) > 0.5
    assert float(base["ci_high"]) - float(base["ci_low"]) > 8


def test_what_cannot_be_resampled_has_no_interval(tmp_path: Path) -> None:
    paths = [
        _written(tmp_path, m, "Representation", [Metric("uniformity", -2.0, higher=False)]) for m in ("base", "a/1")
    ]
    base, _ = _run(tmp_path, *paths)
    assert (base["ci_low"], base["ci_high"], base["n"], base["higher"]) == ("", "", "", "False")
    assert "-2.000" in (tmp_path / "scores.md").read_text()


def test_an_average_is_printed_only_over_a_whole_suite(tmp_path: Path) -> None:
    tasks = SUITES["sts"]
    results = [_result(tmp_path, model, task) for task in tasks for model in ("base", "refined/1")]
    assert not any("average" in row["task"] for row in _run(tmp_path, *results[:-2]))
    rows = _run(tmp_path, *results)
    average = next(row for row in rows if row["task"] == "average (sts)" and row["model"] == "base")
    values = [float(row["value"]) for row in rows if row["model"] == "base" and row["task"] in tasks]
    assert float(average["value"]) == pytest.approx(np.mean(values), abs=1e-3)
    # seven independent tasks: the mean is surer than each of them
    assert float(average["ci_high"]) - float(average["ci_low"]) < 0.6 * min(
        float(row["ci_high"]) - float(row["ci_low"]) for row in rows if row["task"] in tasks
    )


def test_same_input_same_bytes(tmp_path: Path) -> None:
    results = [_result(tmp_path, model) for model in ("base", "refined/1")]
    _run(tmp_path, *results)
    first = [(tmp_path / name).read_bytes() for name in ("scores.csv", "scores.md", "scores.parquet")]
    _run(tmp_path, *results)
    assert [(tmp_path / name).read_bytes() for name in ("scores.csv", "scores.md", "scores.parquet")] == first


def test_table_has_one_line_per_task_and_subset(tmp_path: Path) -> None:
    metrics = [_pairs(60, 1.0, 0), Metric("spearman", 50.0, "news", gold=np.arange(9), predicted=np.arange(9) ** 2)]
    _run(tmp_path, *(_written(tmp_path, model, "STSBenchmark", metrics) for model in ("base", "refined/1")))
    lines = (tmp_path / "scores.md").read_text().splitlines()
    cells = [[text.strip() for text in line.strip("|").split("|")] for line in lines[:4]]
    assert cells[0] == ["task", "metric", "n", "base", "refined", "refined - base"]
    assert [line[0] for line in cells[2:]] == ["STSBenchmark", "news"]
    assert len({len(line) for line in lines[:4]}) == 1  # aligned
    assert "+0.00 [+0.00, +0.00]" in lines[2]


def test_mtebs_own_results_have_the_layout_of_a_submission(tmp_path: Path) -> None:
    _run(tmp_path, _result(tmp_path, "base"), _result(tmp_path, "refined/1"))
    folder = tmp_path / "mteb" / "rankrefine__refined-1" / "r1"
    assert json.loads((folder / "STSBenchmark.json").read_text()) == {"task_name": "STSBenchmark"}
    assert json.loads((folder / "model_meta.json").read_text())["revision"] == "r1"


def test_there_must_be_a_base(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"models \(refined/1\) do not include base"):
        _run(tmp_path, _result(tmp_path, "refined/1"))


def test_a_missing_result_is_named(tmp_path: Path) -> None:
    results = _result(tmp_path, "base"), _result(tmp_path, "refined/1")
    results[1].unlink()
    with pytest.raises(UserError, match=r"no file .*refined/1/STSBenchmark\.json"):
        _run(tmp_path, *results)
    assert not (tmp_path / "scores.csv").exists()


def test_different_pairs_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="refined/1 and base were evaluated on different data of STSBenchmark"):
        _run(tmp_path, _result(tmp_path, "base"), _result(tmp_path, "refined/1", n=50))


def test_different_texts_are_rejected(tmp_path: Path) -> None:
    results = _result(tmp_path, "base"), _result(tmp_path, "refined/1", texts="others")
    with pytest.raises(UserError, match="evaluated on different data of STSBenchmark"):
        _run(tmp_path, *results)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("gold", [1.0], "spearman has different numbers of gold scores and predictions"),
        ("value", math.nan, r"spearman \(all\) is nan, not a number"),
    ],
)
def test_damaged_result(tmp_path: Path, key: str, value: object, message: str) -> None:
    path = _result(tmp_path, "base")
    fields = json.loads(path.read_text())
    fields["metrics"][0][key] = value
    path.write_text(json.dumps(fields))
    with pytest.raises(UserError, match=message):
        _run(tmp_path, path)


def test_another_file_is_no_result(tmp_path: Path) -> None:
    path = tmp_path / "base" / "x.json"
    path.parent.mkdir()
    path.write_text('{"task": "STSBenchmark", "model": "base"}')
    with pytest.raises(UserError, match=r"x\.json is not a result of evaluate \(no 'metrics'\)"):
        _run(tmp_path, path)
