"""Scoring prompts: what ships, how a pair fills them, and what is refused."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from rankrefine.errors import UserError
from rankrefine.llm import scoring_prompts

SHIPPED = [file.stem for file in sorted(scoring_prompts.FOLDER.glob("*.yaml"))]
CHAT = "messages: [{role: system, content: Rate.}, {role: user, content: '{first} / {second}'}]"
LABELS = "labels: {'1': 1, '3': 3, '2': 2}"


def written(folder: Path, content: str) -> str:
    (folder / "mine.yaml").write_text(content, encoding="utf-8")
    return str(folder / "mine.yaml")


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_prompt_holds_each_sentence_once_and_values_from_0_to_1(name: str) -> None:
    prompt = scoring_prompts.load(name)
    assert all(prompt.shown.count(slot) == 1 for slot in scoring_prompts.SLOTS)
    assert (min(prompt.values), max(prompt.values), len(prompt.labels)) == (0, 1, len(prompt.values))
    assert prompt.key == "examples.scoring_prompt"


def test_the_exemplars_have_each_label_of_the_shipped_prompt() -> None:
    prompt = scoring_prompts.load("plain_exemplars")
    assert all(f"Rating ({label})" in prompt.template for label in prompt.labels)
    assert prompt.fill("x", "y").endswith("First: x\nSecond: y\nRating (")


def test_a_slot_in_a_sentence_is_only_text(tmp_path: Path) -> None:
    prompt = scoring_prompts.load(written(tmp_path, f"{CHAT}\n{LABELS}"))
    filled = prompt.fill("a {second} \\1", "{first}")
    assert [message["content"] for message in filled] == ["Rate.", "a {second} \\1 / {first}"]
    assert prompt.fill("one") == prompt.fill("one", "one")


def test_labels_keep_their_order_and_the_record_names_the_file(tmp_path: Path) -> None:
    name = written(tmp_path, f"text: '{{first}} {{second}}:'\n{LABELS}")
    prompt = scoring_prompts.load(name)
    assert (prompt.labels, prompt.values) == (("1", "3", "2"), (0, 1, 0.5))
    assert prompt.sha256 == scoring_prompts.digest(name) == hashlib.sha256(Path(name).read_bytes()).hexdigest()
    assert prompt.describe() == {
        "prompt": "mine",
        "prompt_sha256": prompt.sha256,
        "prompt_text": "{first} {second}:",
        "labels": {"1": 0, "3": 1, "2": 0.5},
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text: [", "mine.yaml is not valid YAML"),
        (
            CHAT,
            "mine.yaml is not a scoring prompt: it needs `labels` and either a list `messages` or a string `text`.",
        ),
        (f"text: '{{first}}'\n{LABELS}", "`text` must be a string that contains {first} and {second}."),
        (f"text: '{{first}} {{second}} '\n{LABELS}", "`text` must not end with a space or a newline"),
        (
            f"messages: [{{role: user, content: '{{second}}'}}]\n{LABELS}",
            "must have the role user and contain {first} and",
        ),
        (
            f"{CHAT}\nlabels: ['0', '1']",
            'labels must be a mapping of texts in quotation marks, such as {"0": 0, "1": 1}.',
        ),
        (f"{CHAT}\nlabels: {{0: 0, 1: 1}}", "labels must be a mapping of texts in quotation marks"),
        (f"{CHAT}\nlabels: {{yes: 1, no: 0}}", "labels must be a mapping of texts in quotation marks"),
        (f"{CHAT}\nlabels: {{a: 0, b: high}}", "the value of label 'b' is 'high', which is not a number."),
        (f"{CHAT}\nlabels: {{a: 0, b: .nan}}", "the value of label 'b' is nan, which is not a number."),
        (f"{CHAT}\nlabels: {{a: 0}}", "labels must be at least two, with different values."),
        (f"{CHAT}\nlabels: {{a: 1, b: 1}}", "labels must be at least two, with different values."),
    ],
)
def test_an_unusable_file_is_one_sentence_that_names_the_key(tmp_path: Path, content: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        scoring_prompts.load(written(tmp_path, content))
    assert str(error.value).startswith("examples.scoring_prompt: ") and message in str(error.value)


def test_an_unknown_name_lists_those_there_are() -> None:
    with pytest.raises(
        UserError,
        match=r"^examples.scoring_prompt: there is no prompt template 'ten'; use plain_exemplars, or the path",
    ):
        scoring_prompts.find("ten")
