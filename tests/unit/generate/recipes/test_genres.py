"""The recipe that writes seed sentences: slots, prompts, the parser of answers, and its shards."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from rankrefine import io
from rankrefine.generate import run as generate
from rankrefine.generate.recipes import genres
from rankrefine.generate.recipes.genres import sentences
from rankrefine.generate.recipes.recipe import COMPLETE, RUNNING
from rankrefine.llm.interface import Completion

TOPICS = [f"topic {number}" for number in range(12)]
NAMES = ("captions", "questions", "news")
SETTINGS = {"temperature": 1.0, "top_p": 0.9, "plausibility": 3.0, "max_new_tokens": 20, "redraws": 1}


def config(folder: Path, random_seed: int = 1, several: int = 3, **settings: Any) -> dict[str, Any]:
    """The configuration of a recipe of three genres."""
    pool = [[f"topic {number}, x", f"Exemplar number {number} of them."] for number in range(4)]
    genre = {"instructions": ["Write.", "Compose."], "exemplars": pool, "draw": 2, "sets": 2}
    recipe = {"genres": dict.fromkeys(NAMES, genre), "topics": TOPICS, "topics_per_request": 2}
    folder.mkdir(exist_ok=True)
    content = yaml.safe_dump(recipe | {"sentences_per_request": several}, sort_keys=False)
    (folder / "r.yaml").write_text(content, encoding="utf-8")
    section = {"recipe": str(folder / "r.yaml")} | SETTINGS | settings
    return {"seed": random_seed, "write": section, "generate": {"engine": "fake", "block_size": 3}}


def recipe(folder: Path, *arguments: Any, **settings: Any) -> genres.Genres:
    """That recipe."""
    return genres.load(config(folder, *arguments, **settings))


def answer(text: str, stop: str = "end") -> Completion:
    """A completion of five tokens."""
    return Completion(0, text, (1, 2, 3, 4, 5), stop)


# --- slots


def test_a_slot_depends_on_its_number_alone(tmp_path: Path) -> None:
    made = recipe(tmp_path)
    slots = made.slots(0, 40).to_pylist()
    assert made.slots(7, 5).to_pylist() == slots[7:12]
    assert len({slot["seed_id"] for slot in slots}) == 40
    assert recipe(tmp_path, 2).slots(0, 40).to_pylist() != slots


def test_genres_take_turns_and_topics_are_drawn(tmp_path: Path) -> None:
    slots = recipe(tmp_path).slots(0, 600).to_pylist()
    assert [slot["source"] for slot in slots[:4]] == ["captions", "questions", "news", "captions"]
    topics = [slot["text"].split(", ") for slot in slots]
    assert all(len(set(pair)) == 2 and set(pair) <= set(TOPICS) for pair in topics)
    counts = Counter(topic for pair in topics for topic in pair)
    assert set(counts) == set(TOPICS) and max(counts.values()) < 1.5 * min(counts.values())


def test_a_request_has_a_prompt_of_its_genre_and_the_topics_of_its_slot(tmp_path: Path) -> None:
    made = recipe(tmp_path)
    assert len(made.prompts) == 3 * 2 * 2
    requests = []
    for row, slot in enumerate(made.slots(0, 60).to_pylist()):
        request = made.request(made.start(row, slot["seed_id"], slot["text"]))
        assert request.prompt in [prompt.fill(slot["text"]) for prompt in made.genres[slot["source"]]]
        assert request.id == row and request.negative_prompt is None and not request.one_line
        requests.append(request)
    assert len({request.key for request in requests}) == 60
    assert len({request.prompt[0]["content"] for request in requests}) == 2  # both instructions
    one = recipe(tmp_path, several=1)
    assert one.request(one.start(0, f"{0:016x}", "topic 1")).one_line


# --- answers


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A cat sleeps.", ["A cat sleeps."]),
        (
            "1. A cat sleeps.\n2) A dog barks.\n(3) Ten birds sing.",
            ["A cat sleeps.", "A dog barks.", "Ten birds sing."],
        ),
        ("- A cat.\n* A dog.\n• A cow.\n– A hen.", ["A cat.", "A dog.", "A cow.", "A hen."]),
        ('\n  "A cat sleeps."  \n\n\t- `A dog  barks.`\n', ["A cat sleeps.", "A dog barks."]),
        ("2.5 million people live here.\n1999 was a cold year.", None),  # no numbers of a list
        ("Sure! Here are two captions:\nA cat sleeps.", ["A cat sleeps."]),
        ("Three questions about cats:\n1. Do cats swim?", ["Do cats swim?"]),
        ("I'm sorry, but I cannot help with that.\nA cat sleeps.", ["A cat sleeps."]),
        ("Answer: a cat.\n<|im_start|>\n```", []),
        ("A cat sleeps.\na cat sleeps!\nA cat sleeps here.", ["A cat sleeps."]),
        ("A known sentence of the prompt.\nA known sentence of this prompt!", []),
        ("1.\n-\n\n...", []),
        ("", []),
    ],
)
def test_usable_lines_of_an_answer(text: str, expected: list[str] | None) -> None:
    lines = text.splitlines() if expected is None else expected
    assert sentences(text, known=["A known sentence of the prompt."]) == lines


def test_the_last_line_of_a_cut_answer_is_left_out() -> None:
    assert sentences("A cat sleeps.\nA dog ba", is_cut=True) == ["A cat sleeps."]
    assert sentences("A cat sle", is_cut=True) == []


def test_an_answer_gives_at_most_the_number_of_sentences_that_were_asked_for(tmp_path: Path) -> None:
    made = recipe(tmp_path, several=2)
    draft = made.start(0, f"{0:016x}", "topic 1, topic 2")
    made.take(draft, answer("A cat sleeps.\nTwo dogs bark.\nTen birds sing."))
    assert draft.status == COMPLETE
    assert made.finished(draft) == {"topics": "topic 1, topic 2", "sentences": ["A cat sleeps.", "Two dogs bark."]}


def test_an_answer_without_a_usable_line_is_retried_and_then_given_up(tmp_path: Path) -> None:
    made = recipe(tmp_path)
    draft = made.start(0, f"{4:016x}", "topic 1")
    first = made.request(draft)
    made.take(draft, answer("As an AI, I cannot do this."))
    assert draft.status == RUNNING and made.request(draft).key != first.key
    made.take(draft, answer("Exemplar number 3 of them."))  # a copy from the prompt
    assert draft.status == "no sentence" and draft.rejected == {"no sentence": 2}
    assert draft.parsed == {("questions", False): 2}
    assert made.finished(draft)["sentences"] == []


def test_greedy_decoding_does_not_retry(tmp_path: Path) -> None:
    made = recipe(tmp_path, temperature=0.0)
    draft = made.start(0, f"{0:016x}", "topic 1")
    made.take(draft, answer(""))
    assert draft.status == "no sentence"


# --- shards


def write(folder: Path, first: int, rows: int, stats: Path | None = None) -> list[dict[str, Any]]:
    """Run the command with the fake engine, in blocks of three, and return the rows of the shard."""
    shard = folder / f"{first:05d}.parquet"
    stats = stats or shard.with_suffix(".json")
    generate.run(config(folder), None, None, first, rows, None, None, None, None, shard, stats)
    return io.read_table(shard).to_pylist()


def test_shard_by_shard_equals_the_whole(tmp_path: Path) -> None:
    whole = write(tmp_path / "whole", 0, 20)
    assert write(tmp_path / "parts", 0, 8) + write(tmp_path / "parts", 8, 12) == whole
    assert list(whole[0]) == ["seed_id", "source", "topics", "sentences", "status", "redraws", "tokens"]
    assert {row["source"] for row in whole} == set(NAMES)
    assert sum(len(row["sentences"]) for row in whole) >= 15
    assert [row["status"] for row in whole if not row["sentences"]] == ["no sentence"] * sum(
        not row["sentences"] for row in whole
    )


def test_the_record_says_who_wrote_them_and_how(tmp_path: Path) -> None:
    write(tmp_path, 0, 4)
    record = io.read_json(tmp_path / "00000.json")
    assert (record["stage"], record["read"], record["model"], record["prompt"]) == ("write", 4, "fake", "r")
    assert "[news]\nsystem: Write." in record["prompt_text"]
    assert record["sampling"]["plausibility"] == 3.0 and record["sampling"]["redraws"] == 1


def test_an_interrupted_shard_continues_with_the_finished_blocks(tmp_path: Path, caplog) -> None:
    whole = write(tmp_path / "whole", 0, 9)
    folder = tmp_path / "resumed"
    folder.mkdir()
    (folder / "file").touch()
    with pytest.raises(Exception, match="file"):  # the record cannot be written
        write(folder, 0, 9, folder / "file" / "stats.json")
    blocks = sorted((folder / "00000.blocks").iterdir())
    assert len(blocks) == 3
    blocks[1].unlink()
    with caplog.at_level("INFO"):
        assert write(folder, 0, 9) == whole
    used = [record.getMessage() for record in caplog.records if "finished block" in record.getMessage()]
    assert [message.split()[-1] for message in used] == ["0.", "2."]
    assert (folder / "00000.parquet").read_bytes() == (tmp_path / "whole" / "00000.parquet").read_bytes()
