"""Examples that the language model rates by the likelihood of labels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from rankrefine import io
from rankrefine.assets.manifest import write_manifest
from rankrefine.config import load as config
from rankrefine.config.views import for_rule
from rankrefine.errors import UserError
from rankrefine.examples import likelihood
from rankrefine.examples.ratings import SCHEMA
from rankrefine.examples.run import SCHEMA as EXAMPLES
from rankrefine.llm import scoring_prompts
from rankrefine.llm.fake.engine import FakeEngine
from rankrefine.llm.interface import OutOfMemory
from rankrefine.llm.scoring import expected

PROMPT = scoring_prompts.load("plain_exemplars")
PAIRS = [(f"the boat {n}", f"a ship {n}") for n in range(7)]
ROWS = [
    {"anchor": "the old boat", "positive": "one boat", "negative": "a red bird"},
    {"anchor": "the young man", "positive": "a man", "negative": None},
    {"anchor": "the old boat", "positive": "the old road", "negative": "one cat"},
]


class Small(FakeEngine):
    """Has memory for a few prompts only."""

    def __init__(self, room: int) -> None:
        self.room, self.max_running, self.sizes = room, 16, []
        super().__init__()

    def reset(self, max_running: int | None = None) -> None:
        self.max_running = max_running or self.max_running

    def score(self, prompts: Any, labels: Any) -> np.ndarray:
        self.sizes.append(len(prompts))
        if self.max_running > self.room:
            raise OutOfMemory("full")
        return super().score(prompts, labels)


def run(folder: Path, llm: Path | None = None, engine: str = "fake", **section: Any) -> tuple[dict, dict]:
    """Rate the examples; return the columns and the record."""
    io.write_table(folder / "examples.parquet", pa.Table.from_pylist(ROWS, EXAMPLES))
    section = {"recipe": "syncse_partial", "scorer": "likelihood", **section}
    whole = {
        "examples": section,
        "base": {"objective": "contrastive"},
        "generate": {"engine": engine, "block_size": 2},
    }
    given = for_rule(config.complete(whole), "likelihood")
    outputs = (folder / "ratings.parquet", folder / "ratings.json")
    likelihood.run(given, folder / "examples.parquet", llm, None, *outputs)
    return io.read_table(outputs[0], SCHEMA).to_pydict(), io.read_json(outputs[1])


def test_scores_are_expected_labels_whatever_the_size_of_the_parts() -> None:
    engine = FakeEngine()
    logprobs = engine.score([PROMPT.fill(*pair) for pair in PAIRS], PROMPT.labels)
    for size in (1, 3, 100):
        assert likelihood.rate(PAIRS, engine, PROMPT, size, False) == pytest.approx(expected(logprobs, PROMPT.values))
    prior = engine.score([PROMPT.fill("", "")], PROMPT.labels)[0]
    calibrated = likelihood.rate(PAIRS, engine, PROMPT, 3, True)
    assert calibrated == pytest.approx(expected(logprobs, PROMPT.values, prior))
    assert all(0 <= score <= 1 for score in calibrated)


def test_where_memory_runs_out_half_as_many_run_at_a_time() -> None:
    engine = Small(4)
    assert likelihood.rate(PAIRS, engine, PROMPT, 5, False) == likelihood.rate(PAIRS, FakeEngine(), PROMPT, 5, False)
    assert engine.max_running == 4 and engine.sizes == [5, 5, 5, 2]
    with pytest.raises(
        UserError, match=r"^examples.scoring_prompt: out of memory with a single prompt \(full\); use a smaller"
    ):
        likelihood.rate(PAIRS, Small(0), PROMPT, 5, False)


def test_scores_that_are_not_finite_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeEngine, "score", lambda _, prompts, labels: np.full((len(prompts), len(labels)), np.nan))
    with pytest.raises(UserError, match=r"scores that are not finite; set generate\.dtype to float32"):
        likelihood.rate(PAIRS, FakeEngine(), PROMPT, 4, False)


def test_each_example_is_rated_with_its_positive_and_negative(tmp_path: Path) -> None:
    columns, record = run(tmp_path)
    pairs = [(row["anchor"], row[role]) for role in ("positive", "negative") for row in ROWS if row[role]]
    scores = likelihood.rate(pairs, FakeEngine(), PROMPT, 9, False)
    assert columns["positive"] == pytest.approx(scores[:3])
    assert columns["negative"] == [pytest.approx(scores[3]), None, pytest.approx(scores[4])]
    assert record["pairs"] == 5
    assert record["scorer"] == {"model": "fake", "revision": None, **PROMPT.describe()}
    assert run(tmp_path, calibrate=True)[0] != columns


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """Manifest of a tiny language model."""
    pytest.importorskip("torch")
    from miniature.llm import build

    write_manifest(tmp_path / "llm.json", source="tiny", kind="model", path=build(tmp_path / "llm"), revision="r1")
    return tmp_path / "llm.json"


# this tokenizer's tokens are words, so that a label begins with a space
def prompt(folder: Path, text: str, labels: str = "{' cat': 0, ' dog': 1}") -> str:
    (folder / "mine.yaml").write_text(f"text: '{text}'\nlabels: {labels}\n", encoding="utf-8")
    return str(folder / "mine.yaml")


def test_a_language_model_rates_by_its_own_probabilities(tmp_path: Path, model: Path) -> None:
    """Those of transformers' own forward pass, without shared prefixes and packing."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    columns, record = run(
        tmp_path, model, "transformers", scoring_prompt=prompt(tmp_path, "the man sees {first} and {second} ,")
    )
    tokenizer, llm = (kind.from_pretrained(tmp_path / "llm") for kind in (AutoTokenizer, AutoModelForCausalLM))
    row = ROWS[0]
    tokens = tokenizer(f"the man sees {row['anchor']} and {row['negative']} ,", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        logits = llm.float()(tokens).logits[0, -1]
    _, dog = logits[tokenizer.convert_tokens_to_ids(["cat", "dog"])].softmax(-1).tolist()
    assert columns["negative"][0] == pytest.approx(dog, abs=0.02 if record["dtype"] == "bfloat16" else 1e-5)
    assert record["scorer"]["model"] == "tiny" and record["scorer"]["revision"] == "r1"


@pytest.mark.parametrize(
    ("text", "labels", "message"),
    [
        (
            "{first} and {second} ,",
            "{' cat': 0, ' nothing': 1}",
            "Label ' nothing' is not a token of its own after the prompt",
        ),
        (
            "{first} and {second} " + "cat " * 300 + ",",
            "{' cat': 0, ' dog': 1}",
            r"has \d+ tokens, more than .* context of 256",
        ),
    ],
)
def test_what_the_model_cannot_take_is_one_sentence(
    tmp_path: Path, model: Path, text: str, labels: str, message: str
) -> None:
    with pytest.raises(UserError, match=f"^examples.scoring_prompt: .*{message}"):
        run(tmp_path, model, "transformers", scoring_prompt=prompt(tmp_path, text, labels))
