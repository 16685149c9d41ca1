"""The card of the ranking lists: a README.md in the Hugging Face form, so that their folder opens as a data set."""

from __future__ import annotations

import json
import re
from typing import Any

from rankrefine.ranking_lists.schema import IMPORTED

SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))
HUB = re.compile(r"hub:([\w.-]+(?:/[\w.-]+)?)@")
COLUMNS = {
    "seed_id": "hash of the seed sentence",
    "source": "where the seed sentence comes from",
    "sentences": "the ranking: the seed sentence, then its rewrites, meant to fall in similarity to it",
    "model": "the language model that wrote them",
    "revision": "its revision",
    "prompt": "name of the prompt template",
    "prompt_sha256": "hash of its text",
    "sampling": "settings of the generation (JSON)",
    "shard": "the job that made the list",
}


def card(record: dict[str, Any], file: str) -> str:
    """The card's text, Markdown under YAML metadata.

    Args:
        record: of `consolidate`: `read`, `kept`, `dropped`, `sentences`, `list_sizes`, `sources`, `made_by`, `seeds`.
        file: name of the parquet file beside the card.
    """
    from huggingface_hub import DatasetCardData

    hub = [match[1] for seeds in record["seeds"]["sources"] if (match := HUB.match(seeds["source"]))]
    is_imported = all(made["model"].startswith(IMPORTED) for made in record["made_by"])
    data = DatasetCardData(
        pretty_name="Ranking lists made with rankrefine",
        # what published lists are is known to who made them
        annotations_creators=None if is_imported else ["machine-generated"],
        task_categories=["sentence-similarity"],
        size_categories=[_size(record["kept"])],
        source_datasets=hub or (None if is_imported else ["original"]),
        tags=["rankrefine", "ranking-lists", "sentence-embeddings", *([] if is_imported else ["synthetic"])],
        configs=[{"config_name": "default", "data_files": [{"split": "train", "path": file}]}],
    )
    return f"---\n{data.to_yaml()}\n---\n\n{_body(record, is_imported)}"


def _size(count: int) -> str:
    return next((name for limit, name in SIZES if count < limit), "n>10M")


def _body(record: dict[str, Any], is_imported: bool) -> str:
    sizes = [int(size) for size in record["list_sizes"]]
    length = f"{min(sizes)}" if len(sizes) == 1 else f"{min(sizes)} to {max(sizes)}"
    origin = (
        "They were made elsewhere and imported."
        if is_imported
        else "A language model rewrote each seed sentence, step by step and guided away; no human checked the order."
    )
    whose = "whoever made the lists" if is_imported else "the generation alone"
    return f"""# Ranking lists made with rankrefine

{record["kept"]:,} lists of {length} sentences each ({record["sentences"]:,} in all, of {record["mean_words"]} words on
average). A list begins with a seed sentence; those after it are meant to be less and less similar to it.
{origin}

## How to open it

```python
from datasets import load_dataset

lists = load_dataset("FOLDER", split="train")  # the folder that holds this file
lists[0]["sentences"]
```

| column | what it is |
| --- | --- |
{_rows(COLUMNS.items())}

## How it was made

{_seeds(record)}

{chr(10).join(_made(made) for made in record["made_by"])}
## What was dropped

Of {record["read"]:,} lists that the quality rules read, {record["kept"]:,} are here.

| reason | lists |
| --- | ---: |
{_rows(sorted(record["dropped"].items(), key=lambda item: -item[1])) or "| nothing | 0 |"}

## Limits and terms

- The order comes from {whose}; neighbours in a list are often in the wrong
order. rankrefine joins it with a teacher's opinion before it trains on it.
- Texts may be wrong, offensive or about real people, in what the seed sentences say as in what was made of them.
- The terms of the language model and of the seed sentences apply to this data. This card states no licence, because
rankrefine does not know them; add `license:` above when you have looked.
"""


def _rows(pairs: Any) -> str:
    return "\n".join(f"| {_cell(one)} | {_cell(other)} |" for one, other in pairs)


def _cell(value: Any) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")


def _seeds(record: dict[str, Any]) -> str:
    """The sources of the seed sentences with the lists of each, and what they were kept apart from."""
    counts, given = record["sources"], record["seeds"]
    places = {
        each["name"]: f" (`{each['source']}`, revision {each['revision'] or 'unknown'})" for each in given["sources"]
    }
    named = [f"- {name}{places.get(name, '')}: {count:,} lists" for name, count in counts.items()]
    apart = ", ".join(f"`{source}`" for source in given["decontaminate"]) or "no evaluation set"
    return "Seed sentences:\n\n" + "\n".join(named) + f"\n\nThey were kept apart from: {apart}."


def _made(made: dict[str, Any]) -> str:
    """What wrote the lists: model, prompt, settings."""
    if made["model"].startswith(IMPORTED):
        return f"Imported from `{made['model'].removeprefix(IMPORTED)}`, revision {made['revision']}.\n"
    sampling = json.loads(made["sampling"])
    settings = _rows((key, json.dumps(value)) for key, value in sampling.items())
    text = "\n".join(f"    {line}" for line in (made["prompt_text"] or "").splitlines())
    return f"""Language model: `{made["model"]}`, revision {made["revision"] or "none"}.

| setting | value |
| --- | --- |
{settings}

`guidance_scale` is the strength of the guidance away from the previous prompt; 1 is plain decoding.
Prompt: `{made["prompt"]}`, SHA-256 `{made["prompt_sha256"]}`:

{text}
"""
