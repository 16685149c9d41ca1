"""Readers of text and tables."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from rankrefine.data_files import tables


def test_a_quotation_mark_in_a_tsv_swallows_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text('text\tid\n"lone\t1\nnext\t2\n', encoding="utf-8")
    assert list(tables.sentences(path, "text", "train")) == ['"lone', "next"]


def test_a_quoted_csv_field_may_hold_commas_and_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('text,id\n"one, ""two""\nthree",1\n', encoding="utf-8")
    assert list(tables.sentences(path, "text", "train")) == ['one, "two"\nthree']


def test_everything_reads_all_text_of_all_splits(tmp_path: Path) -> None:
    table = pa.table(
        {"query": ["q"], "positive": [["p1", "p2"]], "score": [0.5], "gone": pa.array([None], pa.string())}
    )
    pq.write_table(table, tmp_path / "train.parquet")
    pq.write_table(table, tmp_path / "test.parquet")
    assert list(tables.evaluation_texts(tmp_path)) == ["q", "p1", "p2"] * 2
    (tmp_path / "a.jsonl").write_text('{"a": "x", "b": {"c": ["y", 1]}, "d": null}\n', encoding="utf-8")
    assert list(tables.evaluation_texts(tmp_path / "a.jsonl")) == ["x", "y"]
    (tmp_path / "a.csv").write_text("a,b\nx,y\n", encoding="utf-8")
    assert list(tables.evaluation_texts(tmp_path / "a.csv")) == ["x", "y"]
