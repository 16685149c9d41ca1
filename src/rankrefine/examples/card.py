"""Data set card of the training examples: of those that passed the quality rules, or of those that were chosen."""

import json
from collections.abc import Iterable
from typing import Any

from rankrefine import data_card

COLUMNS = {
    "seed_id": "hash of the seed sentence; empty for imported examples",
    "source": "source of the seed sentence",
    "anchor": "the sentence that the others are compared with",
    "positive": "a text that is meant to say the same",
    "negative": "a text that is meant to say something else; empty in an example without one",
    "model": "language model that wrote the example, or source of an imported one",
    "revision": "revision of the model or source",
    "prompt": "name of the recipe",
    "prompt_sha256": "SHA-256 of the recipe's file",
    "sampling": "generation parameters (JSON)",
    "shard": "generation job",
    "score": "score of anchor and positive from 0 to 1, by the scorer or from the imported file; empty without both",
    "score_negative": "the scorer's score of anchor and negative",
    "kind": "rated, repaired (a text below its threshold was replaced or left out) or random (a pair of score 0)",
}
CHANGES = {  # counts of `curate`
    "swapped": "changed the roles of positive and negative",
    "repaired": "were repaired",
    "random_pairs": "random pairs were added",
}
TITLE = "Training examples made with rankrefine"


def render(
    record: dict[str, Any],
    columns: Iterable[str],
    file: str,
    curated: dict[str, Any] | None = None,
    scorer: dict[str, Any] | None = None,
) -> str:
    """Return the card: Markdown with YAML metadata.

    Args:
        record: Record of the examples that passed the quality rules.
        columns: Columns of the table.
        file: Name of the parquet file in the same folder.
        curated: Record of the examples that were chosen of these; None if the table has them all.
        scorer: `model` and `revision` of the scorer by which they were chosen.
    """
    last = curated or record
    count = last["kept"] + last.get("random_pairs", 0)
    body = _body(record, columns, last, count, _choice(curated, scorer or {}) if curated else "")
    return data_card.render(TITLE, "training-examples", file, record | {"kept": count}, body)


def _body(record: dict[str, Any], columns: Iterable[str], last: dict[str, Any], count: int, choice: str) -> str:
    origin = "They were made elsewhere and imported."
    if not data_card.is_imported(record):
        origin = "A language model wrote them for seed sentences; no human checked them."
    counts = {source: each["kept"] for source, each in last["sources"].items() if each["kept"]}
    described = ((name, COLUMNS.get(name, "")) for name in columns)
    return f"""# {TITLE}

{count:,} examples for the training of a sentence encoder, {last["negatives"]:,} of them with a negative.
{origin}

## Usage

```python
from datasets import load_dataset

examples = load_dataset("FOLDER", split="train")  # the folder of this file
examples[0]["anchor"], examples[0]["positive"]
```

| column | content |
| --- | --- |
{data_card.rows(described)}

## Origin

{data_card.seed_text(record["seeds"], counts, "examples", "Sources of the anchors")}

{chr(10).join(data_card.origin_text(made, "Recipe") for made in record["made_by"])}
## Dropped examples

{record["kept"]:,} of {record["read"]:,} examples passed the quality rules.

| reason | examples |
| --- | ---: |
{data_card.drops(record["dropped"])}
{choice}
## Limitations and terms

- Nobody checked whether a positive says the same as its anchor, and a negative something else; often they do not.
- The texts may be wrong, offensive or about real people.
- The terms of the language model and of the seed sentences apply to this data. This card states no licence, because
rankrefine does not know them; add `license:` above once you have checked.
"""


def _choice(curated: dict[str, Any], scorer: dict[str, Any]) -> str:
    """Return the section about the scorer, its settings, and what was dropped by them."""
    settings = ((key, json.dumps(value)) for key, value in curated["config"]["examples"].items())
    prompt = f", prompt `{scorer['prompt']}`, SHA-256 `{scorer['prompt_sha256']}`" if "prompt" in scorer else ""
    changes = "; ".join(f"{curated[key]:,} {text}" for key, text in CHANGES.items() if curated.get(key))
    changes = f" ({changes})" if changes else ""
    return f"""
## Scorer

`{scorer["model"]}`, revision {scorer["revision"]}{prompt}, compared each anchor with its positive and negative, and
{curated["kept"]:,} of {curated["read"]:,} examples were chosen by its scores{changes}.
What is trained on these examples also learns from this model.

| setting | value |
| --- | --- |
{data_card.rows(settings)}

| reason | examples |
| --- | ---: |
{data_card.drops(curated["dropped"])}
"""
