"""Data set card of the ranking lists: a README.md with Hugging Face metadata, so that `datasets` opens the folder."""

import json
from collections.abc import Iterable
from typing import Any

from rankrefine.hub_names import repository

SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))
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


def render(record: dict[str, Any], file: str) -> str:
    """Return the card: Markdown with YAML metadata.

    Args:
        record: fields of the stage record: `read`, `kept`, `dropped`, `sentences`, `mean_words`, `list_sizes`,
            `sources`, `made_by` and `seeds`.
        file: name of the parquet file in the same folder.
    """
    from huggingface_hub import DatasetCardData

    hub = [name for source in record["seeds"]["sources"] if (name := repository(source["source"]))]
    is_imported = all(made.get("imported", False) for made in record["made_by"])
    data = DatasetCardData(
        pretty_name="Ranking lists made with rankrefine",
        # the origin of imported lists is unknown
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
    length = f"{min(sizes)} to {max(sizes)}" if len(sizes) > 1 else str(sizes[0])
    origin, order = "They were made elsewhere and imported.", "whoever made the lists"
    if not is_imported:
        steps = "A language model rewrote each seed sentence step by step, guided away from the previous rewrite"
        origin, order = f"{steps}; no human checked the order.", "the generation alone"
    return f"""# Ranking lists made with rankrefine

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
{_rows(COLUMNS.items())}

## Origin

{_seeds(record)}

{chr(10).join(map(_origin, record["made_by"]))}
## Dropped lists

{record["kept"]:,} of {record["read"]:,} lists passed the quality rules.

| reason | lists |
| --- | ---: |
{_rows(sorted(record["dropped"].items(), key=lambda item: -item[1])) or "| nothing | 0 |"}

## Limitations and terms

- The order comes from {order}; neighbours in a list are often in the wrong
order. rankrefine combines it with the similarities of a teacher before training.
- Seed sentences and rewrites may be wrong, offensive or about real people.
- The terms of the language model and of the seed sentences apply to this data. This card states no licence, because
rankrefine does not know them; add `license:` above once you have checked.
"""


def _rows(pairs: Iterable[tuple[Any, Any]]) -> str:
    return "\n".join(f"| {_cell(name)} | {_cell(value)} |" for name, value in pairs)


def _cell(value: Any) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")


def _seeds(record: dict[str, Any]) -> str:
    """Return the sources of the seed sentences with the number of lists of each, and the decontamination sets."""
    sources = record["seeds"]["sources"]
    origins = {item["name"]: f" (`{item['source']}`, revision {item['revision'] or 'unknown'})" for item in sources}
    lines = [f"- {name}{origins.get(name, '')}: {count:,} lists" for name, count in record["sources"].items()]
    sets = ", ".join(f"`{source}`" for source in record["seeds"]["decontaminate"]) or "no evaluation set"
    written = [
        f"Written by the language model `{made['model']}`, revision {made['revision'] or 'none'}, with the recipe "
        f"`{made['prompt']}`, SHA-256 `{made['prompt_sha256']}`, and `{json.dumps(made['sampling'], sort_keys=True)}`."
        for made in record["seeds"].get("written", [])
    ]
    return "\n".join(["Seed sentences:", "", *lines, "", *written, f"Decontaminated against: {sets}."])


def _origin(made: dict[str, Any]) -> str:
    """Return the origin of lists: model, prompt and parameters, or the source of imported ones."""
    if made.get("imported", False):
        return f"Imported from `{made['model']}`, revision {made['revision']}.\n"
    parameters = _rows((key, json.dumps(value)) for key, value in json.loads(made["sampling"]).items())
    text = "\n".join(f"    {line}" for line in (made["prompt_text"] or "").splitlines())
    system = f" (system message {made['system_message']})" if "system_message" in made else ""
    return f"""Language model: `{made["model"]}`, revision {made["revision"] or "none"}.

| parameter | value |
| --- | --- |
{parameters}

`guidance_scale` is the strength of the guidance away from the previous prompt; 1 is plain decoding.
Prompt: `{made["prompt"]}`, SHA-256 `{made["prompt_sha256"]}`{system}:

{text}
"""
