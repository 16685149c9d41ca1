"""Seed extraction on hand-made sources: formats, filters, duplicates, decontamination, order, and every refusal."""

from __future__ import annotations

import json
import random
import unicodedata
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from datasketch import MinHash, MinHashLSH
from hypothesis import given, settings
from hypothesis import strategies as st

from rankrefine.assets.manifest import write_manifest
from rankrefine.config import load as configuration
from rankrefine.errors import UserError
from rankrefine.seeds import run as seeds
from rankrefine.text import normal_form as clean
from rankrefine.text import readers as read
from rankrefine.text.duplicates import PERMUTATIONS, Comparison, Contamination, NearDuplicates, jaccard, shingles
from rankrefine.text.tally import EXAMPLES, Tally
from rankrefine.text.words import words

ANIMALS = ["A red fox jumps over the wall.", "Two grey geese swim on our pond.", "The last bear sleeps until spring."]


def _run(folder: Path, *sources: dict, **section: object) -> tuple[list[dict], dict]:
    """Run the stage with `sources` (name, source, …) and return the rows of the pool and its record."""
    wanted = {"decontaminate": [], **section}
    config = configuration.complete({"seeds": {"sources": list(sources), **wanted}})
    assets = []
    for number, source in enumerate({*(s["source"] for s in sources), *wanted["decontaminate"]}):
        assets.append(folder / f"asset{number}.json")
        write_manifest(assets[-1], source=source, kind="dataset", path=source)
    seeds.run(config, assets, folder / "pool.parquet", folder / "pool.json")
    return pq.read_table(folder / "pool.parquet").to_pylist(), json.loads((folder / "pool.json").read_text())


def _text(folder: Path, lines: list[str], name: str = "a") -> dict:
    path = folder / f"{name}.txt"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return {"name": name, "source": str(path)}


# --- formats


def _as_txt(path: Path) -> None:
    path.write_text("\ufeff" + "\r\n".join(ANIMALS), encoding="utf-8")  # as a Windows editor writes it


def _as_csv(path: Path) -> None:
    path.write_text("id,text\n" + "".join(f'{i},"{text}"\n' for i, text in enumerate(ANIMALS)), encoding="utf-8")


def _as_tsv(path: Path) -> None:
    path.write_text("id\ttext\n" + "".join(f"{i}\t{text}\n" for i, text in enumerate(ANIMALS)), encoding="utf-8")


def _as_jsonl(path: Path) -> None:
    path.write_text("\n\n".join(json.dumps({"id": 1, "text": text}) for text in ANIMALS), encoding="utf-8")


def _as_parquet(path: Path) -> None:
    pq.write_table(pa.table({"id": [1, 2, 3], "text": pa.array(ANIMALS).dictionary_encode()}), path)


@pytest.mark.parametrize("write", [_as_txt, _as_csv, _as_tsv, _as_jsonl, _as_parquet])
def test_every_format_gives_the_same_sentences(tmp_path: Path, write) -> None:
    path = tmp_path / f"data.{write.__name__.removeprefix('_as_')}"
    write(path)
    rows, record = _run(tmp_path, {"name": "a", "source": str(path)})
    assert sorted(row["text"] for row in rows) == sorted(ANIMALS)
    assert record["kept"] == record["read"] == 3


def test_a_folder_has_one_parquet_file_per_split(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    for split, text in zip(("train", "dev", "test"), ANIMALS, strict=True):
        pq.write_table(pa.table({"sentence": [text]}), tmp_path / "data" / f"{split}.parquet")
    source = {"name": "a", "source": str(tmp_path / "data"), "column": "sentence", "split": "dev"}
    assert [row["text"] for row in _run(tmp_path, source)[0]] == [ANIMALS[1]]


def test_a_quotation_mark_in_a_tsv_swallows_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.tsv"
    path.write_text('text\tid\n"lone\t1\nnext\t2\n', encoding="utf-8")
    assert list(read.sentences(path, "text", "train")) == ['"lone', "next"]


def test_a_quoted_csv_field_may_hold_commas_and_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('text,id\n"one, ""two""\nthree",1\n', encoding="utf-8")
    assert list(read.sentences(path, "text", "train")) == ['one, "two"\nthree']


def test_everything_reads_all_text_of_all_splits(tmp_path: Path) -> None:
    table = pa.table(
        {"query": ["q"], "positive": [["p1", "p2"]], "score": [0.5], "gone": pa.array([None], pa.string())}
    )
    pq.write_table(table, tmp_path / "train.parquet")
    pq.write_table(table, tmp_path / "test.parquet")
    assert list(read.everything(tmp_path)) == ["q", "p1", "p2"] * 2
    (tmp_path / "a.jsonl").write_text('{"a": "x", "b": {"c": ["y", 1]}, "d": null}\n', encoding="utf-8")
    assert list(read.everything(tmp_path / "a.jsonl")) == ["x", "y"]
    (tmp_path / "a.csv").write_text("a,b\nx,y\n", encoding="utf-8")
    assert list(read.everything(tmp_path / "a.csv")) == ["x", "y"]


# --- refusals


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"fine\nna\xefve\n", r"a.txt is not UTF-8 \(line 2, byte 7\); save it as UTF-8."),
        ("a.txt", "Ein Satz.".encode("utf-16"), r"a.txt is not UTF-8 \(line 1, byte 0\)"),
        ("a.csv", b"id,text\n1,na\xefve\n", r"a.csv is not UTF-8 \(line 2, byte 12\)"),
        ("a.csv", b"id,sentence\n1,x\n", "a.csv has no column 'text'; there are: id, sentence."),
        ("a.csv", b"id,text\n1,x,y\n", "a.csv, line 2: 3 fields where the header has 2."),
        ("a.csv", b'id,text\n1,"x\n2,y\n', r"a.csv, line 3 is malformed \(unexpected end of data\)"),
        ("a.tsv", b"id\tsentence\n1\tx\n", "a.tsv has no column 'text'; there are: id, sentence."),
        ("a.jsonl", b'{"text": "x"}\n{"text": \n', r"a.jsonl, line 2 is not valid JSON \("),
        ("a.jsonl", b'{"text": "\\ud800"}\n', r"a.jsonl, line 1 is not valid JSON \("),
        ("a.jsonl", b'["x"]\n', "a.jsonl, line 1 is not a JSON object with the key 'text'."),
        ("a.jsonl", b'{"body": "x", "id": 1}\n', "a.jsonl, line 1 has no column 'text'; there are: body, id."),
        ("a.jsonl", b'{"text": 3}\n', "a.jsonl, line 1: 'text' is not text."),
        ("a.parquet", b"PAR1 and no more", "a.parquet is corrupt or no parquet file"),
        ("a.parquet", b"", "a.parquet is corrupt or no parquet file"),
        ("a.docx", b"x", r"a.docx has an unknown extension; it must be one of .txt, .csv, .tsv, .jsonl, .parquet."),
        ("a.txt", b"", r"seeds.sources: 'a' \(.*a.txt\) holds no text."),
        ("a.txt", b"\n \n", r"seeds.sources: 'a' \(.*a.txt\) holds no text."),
        ("a.csv", b"", r"seeds.sources: 'a' \(.*a.csv\) holds no text."),
        ("a.csv", b"id,text\n", r"seeds.sources: 'a' \(.*a.csv\) holds no text."),
    ],
)
def test_bad_files_are_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        _run(tmp_path, {"name": "a", "source": str(tmp_path / name)})
    assert not (tmp_path / "pool.parquet").exists()
    assert not (tmp_path / "pool.json").exists()


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"column": "body"}, "train.parquet has no column 'body'; there are: text, id."),
        ({"column": "id"}, "train.parquet: the column 'id' is not text but int64."),
        ({"split": "dev"}, "data has no split 'dev'; there are: test, train."),
    ],
)
def test_missing_split_or_column_names_those_there_are(tmp_path: Path, extra: dict, message: str) -> None:
    (tmp_path / "data").mkdir()
    for split in ("train", "test"):
        pq.write_table(pa.table({"text": ["x"], "id": [1]}), tmp_path / "data" / f"{split}.parquet")
    with pytest.raises(UserError, match=message):
        _run(tmp_path, {"name": "a", "source": str(tmp_path / "data"), **extra})


def test_nothing_left_tells_what_was_dropped(tmp_path: Path) -> None:
    source = _text(tmp_path, ["Too short.", "no capital letter starts this one.", "another without a capital letter."])
    message = r"No seed sentence is left.*0 of 3 sentences kept, dropped: 1 too short, 2 not like require_pattern"
    with pytest.raises(UserError, match=message):
        _run(tmp_path, source)
    assert not (tmp_path / "pool.parquet").exists()


def test_an_asset_without_manifest_is_named(tmp_path: Path) -> None:
    config = configuration.complete({"seeds": {"sources": [_text(tmp_path, ANIMALS)], "decontaminate": []}})
    with pytest.raises(UserError, match=r"--assets holds no manifest of .*a.txt; it has: none."):
        seeds.run(config, [], tmp_path / "pool.parquet", tmp_path / "pool.json")


# --- normal form and filters


@given(st.text())
def test_normal_form(text: str) -> None:
    found = clean.normalise(text)
    assert clean.normalise(found) == found == unicodedata.normalize("NFC", found)
    assert found == found.strip()
    assert not any(c.isspace() for c in found.replace(" ", ""))
    assert "  " not in found


def test_normal_form_by_example() -> None:
    assert clean.normalise(" Cafe\u0301\u00a0 am\n\tEck ") == "Café am Eck"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("The committee met again on Monday.", None),
        ('"We will see," said Mr. Berlin, who lives in the U.S. now.', None),
        ("Did Gov. Roemer of Louisiana sign the bill?", None),
        ("Déjà vu, he thought, and went home.", None),
        ("", "empty"),
        ("Four words are few.", "too short"),
        ("Word " * 24 + "end.", "too long"),
        ("no capital letter at the start.", "not like require_pattern"),
        ("No stop at the end of it", "not like require_pattern"),
        ("See http://example.org for the rest.", "like exclude_pattern"),
        ("Thanks to @anonymous for the nice day.", "like exclude_pattern"),
        ("Well... that was not so good.", "like exclude_pattern"),
        ("What was that about again?!", "like exclude_pattern"),
        ("It was raining all day :( again.", "like exclude_pattern"),
        ("That was sooo very nice of you.", "like exclude_pattern"),
        ("STOP DOING THAT to your poor brother.", "like exclude_pattern"),
        ("I was at home. Nobody rang the bell.", "like exclude_pattern"),
        ("Is it late? I did not notice.", "like exclude_pattern"),
        ('"They took it; the bank took my money.', "like exclude_pattern"),
        ("Это предложение не на латинице.", "not like require_pattern"),
        ("He said привет and went away.", "like exclude_pattern"),
    ],
)
def test_default_filters(text: str, reason: str | None) -> None:
    filters = clean.filters(configuration.complete({})["seeds"])
    assert next((name for name, drops in filters.items() if drops(text)), None) == reason


def test_empty_patterns_allow_all() -> None:
    section = configuration.complete({"seeds": {"require_pattern": "", "exclude_pattern": "", "min_words": 1}})[
        "seeds"
    ]
    assert not any(drops("anything # goes") for drops in clean.filters(section).values())


# --- repeats and evaluation sets


def test_words_ignore_case_punctuation_and_kind_of_apostrophe() -> None:
    assert words("“Don’t STOP,” (she) said!") == words("don't stop she said") == ["don't", "stop", "she", "said"]


def test_ngrams() -> None:
    assert clean.ngrams(list("abcb"), 2) == {"a b", "b c", "c b"}
    assert clean.ngrams(["a"], 2) == set()


def test_exact_duplicates_are_dropped(tmp_path: Path) -> None:
    rows, record = _run(tmp_path, _text(tmp_path, [*ANIMALS, ANIMALS[0], "A RED FOX jumps over the wall!"]))
    assert len(rows) == 3
    assert record["dropped"]["duplicate"] == 2


def test_evaluation_sentences_are_dropped(tmp_path: Path) -> None:
    (tmp_path / "sts").mkdir()
    known = {"sentence1": ["a red fox jumps over the wall"], "sentence2": ["Then two grey geese swim on a lake."]}
    pq.write_table(pa.table(known | {"score": [1.0]}), tmp_path / "sts" / "test.parquet")
    sts = [str(tmp_path / "sts")]
    rows, record = _run(tmp_path, _text(tmp_path, ANIMALS), decontaminate=sts, overlap_ngram=4, overlap_limit=0.5)
    # "Two grey geese swim on our pond": 2 of its 4 runs of 4 words are in sentence2
    assert [row["text"] for row in rows] == [ANIMALS[2]]
    assert record["dropped"]["in an evaluation set"] == record["dropped"]["overlaps an evaluation set"] == 1
    assert record["examples"]["overlaps an evaluation set"] == [ANIMALS[1]]
    rows, _ = _run(tmp_path, _text(tmp_path, ANIMALS), decontaminate=sts, overlap_ngram=4, overlap_limit=0.51)
    assert {row["text"] for row in rows} == {ANIMALS[1], ANIMALS[2]}


def _repeated(threshold: float, sentences: list[list[str]]) -> set[int]:
    near = NearDuplicates(threshold, len(sentences))
    for tokens in sentences:
        near.add(tokens)
    return near.repeated(sentences.__getitem__)


def test_near_duplicates_are_found_at_their_exact_similarity() -> None:
    first = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    second = [*first[:-1], "eleven"]  # 8 shared pairs of 10
    assert jaccard(shingles(first), shingles(second)) == 0.8
    for threshold, expected in ((0.8, True), (0.81, False)):
        assert _repeated(threshold, [first, second]) == ({1} if expected else set())


@pytest.mark.parametrize("threshold", [0.01, 0.7, 0.99, 1.0])
def test_any_threshold_finds_the_same_word_pairs(threshold: float) -> None:
    tokens = ["a", "b", "c", "a", "b", "c", "d", "e"]
    assert _repeated(threshold, [tokens, ["x", "y"], ["x"], tokens, [], []]) == {3}


def test_near_duplicate_index_agrees_with_brute_force() -> None:
    """It invents no pair; at 0.73 (one word of 14 changed) 20 bands of 6 miss 3 % of them, so allow 6 %."""
    dice = random.Random(3)
    base = [[f"w{dice.randrange(400)}" for _ in range(14)] for _ in range(100)]
    lists = [list(tokens) for tokens in base for _ in range(3)]
    for tokens in lists:
        if dice.random() < 0.7:
            tokens[dice.randrange(14)] = "changed"
    dice.shuffle(lists)
    repeated, kept, missed, found = _repeated(0.7, lists), [], 0, 0
    for number, tokens in enumerate(lists):
        truth = any(jaccard(shingles(tokens), other) >= 0.7 for other in kept)
        if number in repeated:
            assert truth
            found += 1
        else:
            missed += truth
            kept.append(shingles(tokens))
    assert found > 50
    assert missed <= 0.06 * found


@pytest.mark.parametrize("threshold", [0.3, 0.7, 0.95])
def test_sorted_bands_choose_what_an_index_in_memory_does(threshold: float) -> None:
    """datasketch's own index, asked and filled sentence by sentence, over 3000 sentences with many alike."""
    dice = random.Random(5)
    sentences = [[f"w{dice.randrange(60)}" for _ in range(dice.randrange(1, 9))] for _ in range(1500)]
    sentences += [[*tokens[: dice.randrange(9)], "x", *tokens] for tokens in sentences]
    index = MinHashLSH(threshold=0.8 * threshold, num_perm=PERMUTATIONS, weights=(0.1, 0.9))
    repeated = set()
    for number, tokens in enumerate(sentences):
        signature = MinHash(num_perm=PERMUTATIONS)
        signature.update_batch([pair.encode() for pair in shingles(tokens)])
        alike = (jaccard(shingles(tokens), shingles(sentences[other])) for other in index.query(signature))
        if any(value >= threshold for value in alike):
            repeated.add(number)
        else:
            index.insert(number, signature)
    assert len(repeated) > 50
    assert _repeated(threshold, sentences) == repeated


def test_the_earlier_of_two_duplicates_stays() -> None:
    comparison = Comparison(Contamination([], 4, 0.5))
    assert [comparison.reason(words(text)) for text in ("Ah, one.", "Ah one!", "Other")] == [None, "duplicate", None]


# --- order and statistics


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(4)), st.permutations(range(3)))
def test_the_pool_does_not_depend_on_the_order_of_lines_or_sources(tmp_path_factory, lines, order) -> None:
    folder = tmp_path_factory.mktemp("order")
    texts = [*ANIMALS, "A red fox jumps over the wall!"]
    sources = [_text(folder, [texts[i] for i in lines], name) for name in ("a", "b", "c")]
    rows, record = _run(folder, *(sources[i] for i in order))
    assert [row["text"] for row in rows] == _EXPECTED
    assert {row["source"] for row in rows} == {"a"}  # the same sentence is in all three: the first name has it
    assert record["kept"] == 3


def _by_hash(texts: list[str]) -> list[str]:
    return sorted(texts, key=lambda text: clean.digest(text, 2024))


_EXPECTED = [
    text
    for i, text in enumerate(_by_hash([*ANIMALS, "A red fox jumps over the wall!"]))
    if words(text) not in map(words, _by_hash([*ANIMALS, "A red fox jumps over the wall!"])[:i])
]


def test_seed_changes_the_order_and_not_the_ids(tmp_path: Path) -> None:
    source = _text(tmp_path, [f"Number {i} of these sentences is {word}." for i, word in enumerate("abcdefghijkl")])
    config = {"seeds": {"sources": [source], "decontaminate": [], "near_duplicate_threshold": 1.0}}
    write_manifest(tmp_path / "m.json", source=source["source"], kind="dataset", path=source["source"])
    pools = []
    for seed in (1, 2):
        complete = configuration.complete(config | {"seed": seed})
        seeds.run(complete, [tmp_path / "m.json"], tmp_path / "pool.parquet", tmp_path / "pool.json")
        pools.append(pq.read_table(tmp_path / "pool.parquet").to_pylist())
    assert pools[0] != pools[1]
    assert sorted(map(str, pools[0])) == sorted(map(str, pools[1]))
    assert all(len(row["seed_id"]) == 16 and int(row["seed_id"], 16) >= 0 for row in pools[0])
    assert len({row["seed_id"] for row in pools[0]}) == 12


def test_same_input_same_bytes_whatever_the_count(tmp_path: Path) -> None:
    _run(tmp_path, _text(tmp_path, ANIMALS), count=1)
    first = (tmp_path / "pool.parquet").read_bytes()
    _, record = _run(tmp_path, _text(tmp_path, ANIMALS), count=3)
    assert (tmp_path / "pool.parquet").read_bytes() == first
    assert "count" not in record["config"]["seeds"]


def test_statistics_add_up_per_source_and_reason(tmp_path: Path) -> None:
    one = _text(tmp_path, [*ANIMALS, "Short.", "", "no capital letter is in here."], "one")
    two = _text(tmp_path, [ANIMALS[0], "Brief.", "Tiny."], "two")
    rows, record = _run(tmp_path, one, two)
    assert record["read"] == 9
    assert record["kept"] == len(rows) == 3
    assert {r: n for r, n in record["dropped"].items() if n} == {
        "empty": 1,
        "too short": 3,
        "not like require_pattern": 1,
        "duplicate": 1,
    }
    parts = record["sources"].values()
    assert [part["read"] for part in parts] == [6, 3]
    assert all(part["read"] == part["kept"] + sum(part["dropped"].values()) for part in parts)
    assert {r: sum(p["dropped"][r] for p in parts) for r in record["dropped"]} == record["dropped"]
    assert sorted(record["examples"]["too short"]) == ["Brief.", "Short.", "Tiny."]
    assert record["stage"] == "seeds"


def test_examples_are_few_and_do_not_depend_on_the_order() -> None:
    found = []
    for texts in (range(50), reversed(range(50))):
        tally = Tally(["a"], ["why"])
        for number in texts:
            tally.read("a")
            tally.drop("a", f"text {number}", "why")
            tally.drop("a", f"text {number}", "why")
        found.append(tally.summary()["examples"]["why"])
    assert found[0] == found[1]
    assert len(set(found[0])) == EXAMPLES
