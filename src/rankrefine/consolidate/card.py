"""Data set card of the ranking lists."""

from typing import Any

from rankrefine import data_card

COLUMNS = {
    "seed_id": "hash of the seed sentence",
    "source": "source of the seed sentence",
    "sentences": "the ranking: the seed sentence, then its rewrites in order of decreasing intended similarity",
    "model": "language model that wrote the rewrites, or source of an imported list",
    "revision": "revision of the model or source",
    "prompt": "name of the prompt template",
    "prompt_sha256": "SHA-256 of the prompt template",
    "sampling": "generation parameters (JSON)",
    "shard": "generation job",
}
TITLE = "Ranking lists made with rankrefine"
GUIDANCE = "`guidance_scale` is the strength of the guidance away from the previous prompt; 1 is plain decoding.\n"


def render(record: dict[str, Any], file: str) -> str:
    """Return the card: Markdown with YAML metadata.

    Args:
        record: fields of the stage record: `read`, `kept`, `dropped`, `sentences`, `mean_words`, `list_sizes`,
            `sources`, `made_by` and `seeds`.
        file: name of the parquet file in the same folder.
    """
    return data_card.render(TITLE, "ranking-lists", file, record, _body(record))


def _body(record: dict[str, Any]) -> str:
    sizes = [int(size) for size in record["list_sizes"]]
    length = f"{min(sizes)} to {max(sizes)}" if len(sizes) > 1 else str(sizes[0])
    origin, order = "They were made elsewhere and imported.", "whoever made the lists"
    if not data_card.is_imported(record):
        steps = "A language model rewrote each seed sentence step by step, guided away from the previous rewrite"
        origin, order = f"{steps}; no human checked the order.", "the generation alone"
    return f"""# {TITLE}

{record["kept"]:,} lists of {length} sentences each ({record["sentences"]:,} in all, of {record["mean_words"]} words on
average). A list begins with a seed sentence; its rewrites are meant to be less and less similar to it.
{origin}

## Usage

```python
from datasets import load_dataset

lists = load_dataset("FOLDER", split="train")  # the folder of this file
lists[0]["sentences"]
```

| column | content |
| --- | --- |
{data_card.rows(COLUMNS.items())}

## Origin

{data_card.seed_text(record["seeds"], record["sources"], "lists")}

{chr(10).join(data_card.origin_text(made, "Prompt", GUIDANCE) for made in record["made_by"])}
## Dropped lists

{record["kept"]:,} of {record["read"]:,} lists passed the quality rules.

| reason | lists |
| --- | ---: |
{data_card.drops(record["dropped"])}

## Limitations and terms

- The order comes from {order}; neighbours in a list are often in the wrong
order. rankrefine combines it with the similarities of a teacher before training.
- Seed sentences and rewrites may be wrong, offensive or about real people.
- The terms of the language model and of the seed sentences apply to this data. This card states no licence, because
rankrefine does not know them; add `license:` above once you have checked.
"""
