"""Every reader on every shape of data that other programs and our own jobs write: read exactly, or refused."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasets import Dataset, DatasetDict

from rankrefine import io
from rankrefine.base import examples
from rankrefine.data_files import tables
from rankrefine.errors import UserError
from rankrefine.evaluate import data_tables
from rankrefine.import_lists.parse import as_list
from rankrefine.training import development

DOCS = Path(__file__).parents[3] / "docs" / "data.md"
TEXTS = ['A "quoted" word, here.', "It's; fine.", "Zwei Wörter 😀.", '"Gone," she said.', "One\\two 3 / 4."]
OTHERS = ["A quoted word.", "It is fine.", "Two words.", '"No" was said.', "1, 2, 3 and 4."]
SCORES = [4.5, 0.0, 2.25, 5.0, 3.0]
PAIRS = {"sentence1": TEXTS, "sentence2": OTHERS, "score": SCORES}


def _as_lists(path: Path) -> list[list[str]]:
    return [as_list(value)[0] for value in tables.values(path, "lists", "train")]


# reader -> split that it reads, columns, what it returns for them
READERS: dict[str, tuple[str, dict[str, list], Callable[[Path], Any], Any]] = {
    "seeds": (
        "train",
        {"id": [1, 2, 3, 4, 5], "text": TEXTS},
        lambda p: [*tables.sentences(p, "text", "train")],
        TEXTS,
    ),
    "lists": (
        "train",
        {"lists": [[text, other] for text, other in zip(TEXTS, OTHERS, strict=True)]},
        _as_lists,
        [[text, other] for text, other in zip(TEXTS, OTHERS, strict=True)],
    ),
    "base": (
        "train",
        {"anchor": TEXTS, "positive": OTHERS, "negative": TEXTS[::-1]},
        lambda path: [*examples.read("decayed_contrastive", path).values()],
        [TEXTS, OTHERS, TEXTS[::-1]],
    ),
    "development": ("validation", PAIRS, lambda path: [*development.read(path)], [*PAIRS.values()]),
    "task": (
        "test",
        PAIRS,
        lambda path: [*data_tables.pairs(data_tables.split_files("T", "test", path)).to_pydict().values()],
        [*PAIRS.values()],
    ),
    "decontamination": (
        "test",
        {"id": [1, 2, 3, 4, 5], "text": TEXTS},
        lambda path: [*tables.evaluation_texts(path)],
        TEXTS,
    ),
}

Frame = pd.DataFrame
Writer = Callable[[Frame, Path, str], Path]  # writes the rows below a folder as a split; returns the path to read


def _pandas(name: str, method: str, **options: Any) -> Writer:
    def write(frame: Frame, folder: Path, split: str) -> Path:
        getattr(frame, method)(folder / name, **options)
        return folder / name

    return write


def _folder(write: Callable[[Frame, Path], None], *names: str) -> Writer:
    """Write equal shares of the rows to files whose names may contain {split}; read the folder."""

    def write_all(frame: Frame, folder: Path, split: str) -> Path:
        shares = [len(frame) * number // len(names) for number in range(len(names) + 1)]
        for name, start, stop in zip(names, shares, shares[1:], strict=False):
            file = folder / "set" / name.format(split=split)
            file.parent.mkdir(parents=True, exist_ok=True)
            write(frame.iloc[start:stop], file)
        return folder / "set"

    return write_all


def _parquet(frame: Frame, file: Path) -> None:
    frame.to_parquet(file, index=False)


def _lines(frame: Frame, file: Path) -> None:
    frame.to_json(file, orient="records", lines=True)


def _r(write: Callable[[Frame], str], name: str) -> Writer:
    def to_file(frame: Frame, folder: Path, split: str) -> Path:
        (folder / name).write_text(write(frame), encoding="utf-8")
        return folder / name

    return to_file


def _quoted(frame: Frame, separator: str, header: list[str], decimal: str = ".") -> str:
    """As R writes a data frame: names of rows and all text in quotes, quotation marks doubled."""

    def cell(value: Any) -> str:
        if isinstance(value, float):
            return f"{value:g}".replace(".", decimal)
        return str(value) if isinstance(value, int) else '"{}"'.format(str(value).replace('"', '""'))

    rows = [[f'"{number}"', *map(cell, row)] for number, row in enumerate(frame.itertuples(index=False), start=1)]
    return "".join(separator.join(row) + "\n" for row in [[f'"{name}"' for name in header], *rows])


def _excel(frame: Frame, folder: Path, split: str) -> Path:
    """CSV UTF-8 of a European Excel: byte order mark, semicolons, carriage returns."""
    frame.to_csv(folder / "a.csv", index=False, sep=";", encoding="utf-8-sig", lineterminator="\r\n")
    return folder / "a.csv"


def _mac(frame: Frame, folder: Path, split: str) -> Path:
    frame.to_csv(folder / "a.csv", index=False, lineterminator="\r")
    return folder / "a.csv"


def _raw_tsv(frame: Frame, folder: Path, split: str) -> Path:
    """Without quoting, as GLUE and STS Benchmark."""
    rows = [list(frame.columns), *frame.itertuples(index=False)]
    (folder / "a.tsv").write_text("".join("\t".join(map(str, row)) + "\n" for row in rows), encoding="utf-8")
    return folder / "a.tsv"


def _datasets(frame: Frame, folder: Path, split: str) -> Path:
    rows = Dataset.from_pandas(frame, preserve_index=False)
    DatasetDict({split: rows}).save_to_disk(folder / "set", num_shards={split: 2})
    return folder / "set"


def _own(frame: Frame, folder: Path, split: str) -> Path:
    """As our jobs write pools and lists: compressed, and with large strings where a table may be large."""
    table = pa.Table.from_pandas(frame, preserve_index=False)
    large = [field.with_type(pa.large_string()) if pa.types.is_string(field.type) else field for field in table.schema]
    io.write_table(folder / "a.parquet", table.cast(pa.schema(large)))
    return folder / "a.parquet"


def _categories(frame: Frame, folder: Path, split: str) -> Path:
    changed = frame.copy()
    for name in frame.columns:
        if frame[name].dtype.kind in "OU" or isinstance(frame[name].iloc[0], str):
            changed[name] = frame[name].map(str).astype("category") if name != "lists" else frame[name]
        elif name == "score":
            changed[name] = frame[name].astype("category")
    changed.to_parquet(folder / "a.parquet", index=False)
    return folder / "a.parquet"


def _typed(score: pa.DataType) -> Writer:
    """Parquet whose scores have another type."""

    def write(frame: Frame, folder: Path, split: str) -> Path:
        table = pa.Table.from_pandas(frame, preserve_index=False)
        if "score" in table.column_names:
            values = [Decimal(str(value)) for value in SCORES] if pa.types.is_decimal(score) else SCORES
            place = table.column_names.index("score")
            table = table.set_column(
                place, "score", pa.array(values, pa.float64() if score == pa.float16() else score)
            )
            if score == pa.float16():
                table = table.set_column(place, "score", table["score"].cast(score))
        pq.write_table(table, folder / "a.parquet")
        return folder / "a.parquet"

    return write


SHAPES: dict[str, Writer] = {
    "pandas to_csv": _pandas("a.csv", "to_csv", index=False),
    "pandas to_csv, with its index": _pandas("a.csv", "to_csv"),
    "pandas to_csv, all quoted": _pandas("a.csv", "to_csv", index=False, quoting=csv.QUOTE_ALL),
    "pandas to_csv, .csv.gz": _pandas("a.csv.gz", "to_csv", index=False),
    "pandas to_csv, .csv.bz2": _pandas("a.csv.bz2", "to_csv", index=False),
    "pandas to_csv, .csv.xz": _pandas("a.csv.xz", "to_csv", index=False),
    "pandas to_csv, tabs": _pandas("a.tsv", "to_csv", index=False, sep="\t"),
    "pandas to_json, lines": _pandas("a.jsonl", "to_json", orient="records", lines=True),
    "pandas to_json, .jsonl.gz": _pandas("a.jsonl.gz", "to_json", orient="records", lines=True),
    "pandas to_json, records": _pandas("a.json", "to_json", orient="records", indent=1),
    "pandas to_parquet": _pandas("a.parquet", "to_parquet"),
    "pandas to_parquet, categories": _categories,
    "pandas to_feather": _pandas("a.feather", "to_feather"),
    "parquet, scores as float16": _typed(pa.float16()),
    "parquet, scores as float32": _typed(pa.float32()),
    "parquet, scores as decimals": _typed(pa.decimal128(10, 3)),
    "R write.csv": _r(lambda frame: _quoted(frame, ",", ["", *frame.columns]), "a.csv"),
    "R write.csv2": _r(lambda frame: _quoted(frame, ";", ["", *frame.columns], decimal=","), "a.csv"),
    "R write.table, tabs": _r(lambda frame: _quoted(frame, "\t", [*frame.columns]), "a.tsv"),
    "Excel CSV UTF-8, semicolons": _excel,
    "CSV, carriage returns (old Macintosh)": _mac,
    "TSV without quoting": _raw_tsv,
    "folder, a file per split": _folder(_parquet, "{split}.parquet"),
    "folder, a compressed file per split": _folder(_lines, "{split}.jsonl.gz"),
    "folder, parts": _folder(_parquet, "{split}-00000-of-00002.parquet", "{split}-00001-of-00002.parquet"),
    "hub, data/": _folder(_parquet, "data/{split}-00000-of-00002.parquet", "data/{split}-00001-of-00002.parquet"),
    "hub, fingerprints": _folder(_parquet, "data/{split}-00000-of-00001-0123456789abcdef.parquet"),
    "hub, folder of one subset": _folder(_parquet, "en/{split}-00000-of-00001.parquet"),
    "hub, folder per split": _folder(_parquet, "{split}/0000.parquet", "{split}/0001.parquet"),
    "datasets save_to_disk": _datasets,
    "our own tables": _own,
}

# (shape, reader) -> the message of those that are refused
REFUSED = {
    # of a single column nobody can tell whether a comma separates
    ("Excel CSV UTF-8, semicolons", "lists"): r"a\.csv, line 4 has 2 fields, but the header has 1; put cells that",
    ("R write.csv2", "development"): r"a\.csv, line 2: the value of 'score' is '4,5', which is not a number",
    ("R write.csv2", "task"): r"a\.csv, line 2: the value of 'score' is '4,5', which is not a number",
}


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("shape", SHAPES)
def test_every_reader_reads_every_shape(tmp_path: Path, shape: str, reader: str) -> None:
    split, columns, read, expected = READERS[reader]
    path = SHAPES[shape](pd.DataFrame(columns), tmp_path, split)
    if (shape, reader) in REFUSED:
        with pytest.raises(UserError, match=REFUSED[shape, reader]):
            read(path)
        return
    found = read(path)
    if reader == "decontamination":  # it reads whatever is text, also numbers in a format that has only text
        found = [text for text in found if text in TEXTS]
    assert found == expected


@pytest.mark.parametrize("shape", SHAPES)
def test_the_documentation_has_a_row_for_every_shape(shape: str) -> None:
    assert f"| {shape} |" in DOCS.read_text(encoding="utf-8")


def test_the_documentation_has_no_other_rows() -> None:
    rows = re.findall(r"^\| ([^|]+) \| (?:yes|refused)", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == list(SHAPES)


# --- shapes that no reader can read


def _write(folder: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


LINE = '{"text": "A sentence."}\n'
# name -> files, the path to read, the message
BAD: dict[str, tuple[dict[str, str | bytes], str, str]] = {
    "two columns of one name": (
        {"a.csv": "text,id,text\na,1,b\n"},
        "a.csv",
        r"columns 'text' \(columns 1 and 3\)",
    ),
    "a key twice": (
        {"a.jsonl": '{"text": "a", "text": "b"}\n'},
        "a.jsonl",
        "line 1 has the key 'text' twice",
    ),
    "a key twice in an array": ({"a.json": '[{"text": "a", "text": "b"}]'}, "a.json", "has the key 'text' twice"),
    "UTF-16 (Excel's Unicode text)": (
        {"a.csv": "text\na\n".encode("utf-16")},
        "a.csv",
        "is not UTF-8 .*; save it",
    ),
    "Latin-1": ({"a.csv": b"text\nna\xefve\n"}, "a.csv", r"is not UTF-8 \(line 2, byte 7\)"),
    "a workbook": ({"a.xlsx": b"PK"}, "a.xlsx", "unknown extension; use one of .txt"),
    "a pickle": ({"a.pkl": b"x"}, "a.pkl", "unknown extension"),
    "a truncated gzip": (
        {"a.jsonl.gz": b"\x1f\x8b\x08\x00\x00\x00\x00\x00"},
        "a.jsonl.gz",
        "cannot be read .* truncated",
    ),
    "no gzip": ({"a.jsonl.gz": LINE}, "a.jsonl.gz", "cannot be read .* truncated or damaged"),
    "no Arrow": ({"a.arrow": b"nothing of the kind"}, "a.arrow", "corrupt or not an Arrow file"),
    "columns as JSON": (
        {"a.json": '{"text": {"0": "a"}}'},
        "a.json",
        "the value of 'text' is .* not text",
    ),
    "an object of rows": (
        {"a.json": '{"rows": [{"text": "a"}]}'},
        "a.json",
        "no column 'text'",
    ),
    "an array of texts": ({"a.json": '["a", "b"]'}, "a.json", "row 1 is not a JSON object"),
    "an open quotation mark": (
        {"a.csv": 'text\n"a\nb\n'},
        "a.csv",
        "line 3 is malformed",
    ),
    "another split": ({"set/dev.jsonl": LINE}, "set", "has no split 'train'; available splits: dev"),
    "a missing part": (
        {"set/train-00001-of-00002.jsonl": LINE},
        "set",
        "1 of the 2 files of the split",
    ),
    "two formats": (
        {"set/train.jsonl": LINE, "set/train.csv": "text\na\n"},
        "set",
        "'train' more than once",
    ),
    "compressed, too": (
        {"set/train.jsonl": LINE, "set/train.jsonl.gz": b""},
        "set",
        "'train' more than once",
    ),
    "below data/, too": (
        {"set/train.jsonl": LINE, "set/data/train.jsonl": LINE},
        "set",
        "'train' more than once",
    ),
    "two subsets": ({"set/de/train.jsonl": LINE, "set/en/train.jsonl": LINE}, "set", r"several subsets .* \(de, en\)"),
    "no data": ({"set/README.md": "# A set"}, "set", "has no split 'train'; available splits: none"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_read_is_refused(tmp_path: Path, name: str) -> None:
    files, path, message = BAD[name]
    with pytest.raises(UserError, match=message) as error:
        list(tables.sentences(_write(tmp_path, files) / path, "text", "train"))
    assert str(tmp_path / path) in str(error.value)


def test_columns_of_one_name_in_parquet_are_refused(tmp_path: Path) -> None:
    pq.write_table(
        pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["text", "text"]), tmp_path / "a.parquet"
    )
    with pytest.raises(UserError, match=r"a\.parquet has several columns 'text' \(columns 1 and 2\); rename one"):
        list(tables.sentences(tmp_path / "a.parquet", "text", "train"))


def test_another_name_of_a_split_is_found_and_the_exact_one_comes_first(tmp_path: Path) -> None:
    _write(tmp_path, {"dev.jsonl": '{"text": "dev"}\n'})
    assert list(tables.sentences(tmp_path, "text", "validation")) == ["dev"]
    _write(tmp_path, {"validation.jsonl": '{"text": "validation"}\n'})
    assert list(tables.sentences(tmp_path, "text", "validation")) == ["validation"]
    assert list(tables.sentences(tmp_path, "text", "dev")) == ["dev"]


def test_names_with_numbers_are_splits_of_their_own(tmp_path: Path) -> None:
    _write(tmp_path, {f"sts-{year}.jsonl": f'{{"text": "{year}"}}\n' for year in (2012, 2013)})
    assert list(tables.sentences(tmp_path, "text", "sts-2013")) == ["2013"]


@pytest.mark.parametrize(
    "layout",
    ["test.jsonl", "data/test-00000-of-00001.jsonl", "sub/set/test.jsonl", "test/a.jsonl", "x.json", "queries.tsv"],
)
def test_decontamination_reads_every_data_file_of_a_set(tmp_path: Path, layout: str) -> None:
    content = "id\ttext\n1\tA sentence.\n" if layout.endswith(".tsv") else LINE
    _write(tmp_path, {"README.md": "# A set", "dataset_info.json": '{"a": "b"}', layout: content})
    assert [text for text in tables.evaluation_texts(tmp_path) if text != "1"] == ["A sentence."]


@pytest.mark.parametrize(
    "files", [{"README.md": "# A set"}, {"test.csv": "text\n"}, {"test.jsonl": '{"n": 1, "t": " "}\n'}]
)
def test_a_set_without_text_is_refused(tmp_path: Path, files: dict[str, str]) -> None:
    with pytest.raises(UserError, match=r"^seeds\.decontaminate: .* contains no text that can be compared"):
        list(tables.evaluation_texts(_write(tmp_path / "set", files)))


def test_a_file_of_a_set_that_is_not_read_is_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    list(tables.evaluation_texts(_write(tmp_path, {"test.jsonl": LINE, "train.zip": b"PK", "README.md": "# A set"})))
    assert [record.getMessage().split(" is not read")[0] for record in caplog.records] == [str(tmp_path / "train.zip")]


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".jsonl", ".parquet"])
def test_a_long_value_in_another_column_disturbs_nothing(tmp_path: Path, ending: str) -> None:
    frame, file = pd.DataFrame({"note": ["x" * 1_000_000, "short"], "text": ["a", "b"]}), tmp_path / f"a{ending}"
    match ending:
        case ".jsonl":
            _lines(frame, file)
        case ".parquet":
            _parquet(frame, file)
        case _:
            frame.to_csv(file, index=False, sep="," if ending == ".csv" else "\t")
    assert list(tables.sentences(file, "text", "train")) == ["a", "b"]


def test_line_ends_of_every_system(tmp_path: Path) -> None:
    for end in ("\n", "\r\n", "\r"):
        (tmp_path / "a.txt").write_bytes(f"a{end}b\u2028c{end}{end}d".encode())
        assert list(tables.sentences(tmp_path / "a.txt", "", "")) == ["a", "b\u2028c", "", "d"]


def test_cells_of_a_quoted_tsv_may_hold_tabs_and_line_ends(tmp_path: Path) -> None:
    pd.DataFrame({"text": ['a\tb "c"', "d\ne", "f"]}).to_csv(tmp_path / "a.tsv", index=False, sep="\t")
    assert list(tables.sentences(tmp_path / "a.tsv", "text", "train")) == ['a\tb "c"', "d\ne", "f"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("'1.5'", "is '1.5', which is text; save the column as numbers"),
        ("true", "is True, which is not a number"),
        ("NaN", "is nan, which is not a finite number"),
        ("1e999", "is inf, which is not a finite number"),
        ("[1]", r"is \[1\], which is not a number"),
    ],
)
def test_scores_that_are_no_numbers_are_refused_by_all_readers(tmp_path: Path, value: str, message: str) -> None:
    value = json.dumps(value.strip("'")) if value.startswith("'") else value
    rows = [f'{{"sentence1": "a", "sentence2": "b", "score": {score}}}' for score in ("1", value, "2")]
    _write(tmp_path, {f"{split}.jsonl": "\n".join(rows) for split in ("validation", "test")})
    for split, read in (("validation", development.read), ("test", READERS["task"][2])):
        with pytest.raises(UserError, match=rf"{split}\.jsonl, line 2: the value of 'score' {message}"):
            read(tmp_path)
