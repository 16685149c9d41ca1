"""The score table: writing and reading, and equal numbers everywhere."""

import math
from dataclasses import astuple
from pathlib import Path
from types import SimpleNamespace

import pytest

from rankrefine import io, score_table
from rankrefine.errors import UserError
from rankrefine.evaluate.markdown_table import as_markdown
from rankrefine.export import card
from rankrefine.report import tables
from rankrefine.score_table import COLUMNS, Score


def score(**fields: object) -> Score:
    numbers = {name: math.nan for name in COLUMNS if Score.__annotations__[name] is float}
    texts = {"model": "a", "seeds": 1, "task": "T", "subset": "all", "metric": "map", "n": None, "higher": True}
    return Score(**(texts | numbers | fields))


ROWS = [
    score(model="base", n=1379, value=82.03251, ci_low=79.85, ci_high=84.0),
    score(model="a/1", metric="uniformity", value=-2.45678, delta=0.04325, higher=False),
]
CSV = """model,seeds,task,subset,metric,n,value,sd,ci_low,ci_high,delta,delta_sd,delta_low,delta_high,higher
base,1,T,all,map,1379,82.0325,,79.8500,84.0000,,,,,True
a/1,1,T,all,uniformity,,-2.4568,,,,0.0432,,,,False
"""


def test_csv_has_four_decimals_and_parquet_all_of_them(tmp_path: Path) -> None:
    score_table.write(ROWS, tmp_path / "scores.csv", tmp_path / "scores.parquet")
    assert (tmp_path / "scores.csv").read_text() == CSV
    first, second = io.read_table(tmp_path / "scores.parquet").to_pylist()
    assert (first["value"], first["n"], second["n"], second["higher"]) == (82.03251, 1379, None, False)


def test_a_written_table_can_be_read(tmp_path: Path) -> None:
    score_table.write(ROWS, tmp_path / "scores.csv", tmp_path / "scores.parquet")
    for read, row in zip(score_table.read(tmp_path / "scores.csv"), ROWS, strict=True):
        for actual, expected in zip(astuple(read), astuple(row), strict=True):
            assert type(actual) is type(expected)
            assert actual == (
                pytest.approx(expected, abs=5e-5, nan_ok=True) if isinstance(expected, float) else expected
            )


def test_numbers_have_the_decimals_of_their_metric() -> None:
    assert score(metric="alignment", value=0.20512).show("value") == "0.205"
    assert score(metric="effective_rank", value=120.0).show("value") == "120.000"
    assert score(metric="map", value=71.3999).show("value") == "71.40"
    assert score(metric="map", delta=0.62).show("delta") == "+0.62"
    assert score(metric="map", delta=-0.004).show("delta") == "-0.00"
    assert score(metric="map", delta_sd=0.1).show("delta_sd") == "0.10"
    assert score().show("delta") == ""


def test_spreads_and_intervals_follow_their_number() -> None:
    row = score(value=82.1, sd=0.25, ci_low=80, ci_high=84, delta=1.0, delta_low=-0.5, delta_high=2.5)
    assert (row.show_sd("value"), row.show_interval("value")) == ("82.10 ± 0.25", " [80.00, 84.00]")
    assert (row.show_sd("delta"), row.show_interval("delta")) == ("+1.00", " [-0.50, +2.50]")
    assert (score().show_sd("value"), score().show_interval("delta")) == ("", "")


def test_names_for_readers() -> None:
    assert (score(metric="map").measure, score(metric="accuracy").measure) == ("MAP × 100", "accuracy × 100")
    assert (score(metric="uniformity").measure, score(metric="effective_rank").measure) == (
        "uniformity",
        "effective rank",
    )
    assert (score(task="STS").place, score(task="STS", subset="news").place) == ("STS", "STS, news")
    assert [score(seeds=seeds).is_mean for seeds in (1, 2)] == [False, True]


def test_a_difference_is_significant_if_its_interval_excludes_zero() -> None:
    intervals = {(0.1, 1.0): True, (-1.0, -0.1): True, (-0.1, 0.1): False, (0.0, 1.0): False, (math.nan,) * 2: False}
    for (low, high), expected in intervals.items():
        assert score(delta_low=low, delta_high=high).significant is expected


def test_another_file_is_no_score_table(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    with pytest.raises(UserError, match=r"There is no file .*scores\.csv"):
        score_table.read(path)
    path.write_text("model,seeds,task\nbase,1,STS\n")
    with pytest.raises(UserError, match=r"scores\.csv is not a score table \(no column 'subset'\)"):
        score_table.read(path)
    path.write_text(CSV.replace("-2.4568", "high"))
    with pytest.raises(UserError, match=r"scores\.csv, line 3: value is 'high', not a number; delete the file"):
        score_table.read(path)
    path.write_text(CSV.replace("a/1,1", "a/1,two"))
    with pytest.raises(UserError, match="line 3: seeds is 'two', not a number"):
        score_table.read(path)


@pytest.mark.parametrize("metric", ["alignment", "effective_rank", "uniformity", "spearman", "mrr"])
def test_card_printed_table_and_report_show_the_same_numbers(tmp_path: Path, metric: str) -> None:
    rows = [score(model="base", metric=metric, value=51.23461), score(metric=metric, value=52.34572, delta=1.11111)]
    score_table.write(rows, tmp_path / "scores.csv", tmp_path / "scores.parquet")
    base, own = score_table.read(tmp_path / "scores.csv")
    selection = {"scores": [base, own], "selection": {}, "confidence": 0.95, "overlap": [], "chosen": "a"}
    (group,) = tables.scores(SimpleNamespace(**selection, experiment=lambda row: row.model), by_genre=False)
    report = {row[column] for row in group["rows"] for column in ("value", "delta")}
    expected = ("51.23", "52.35", "+1.11") if metric in ("spearman", "mrr") else ("51.235", "52.346", "+1.111")
    for number in expected:
        assert f" {number} |" in card.score_table([base], [own])
        assert f" {number} |" in as_markdown(rows, 100, 0.95)
        assert number in report
