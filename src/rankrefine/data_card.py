"""Parts of a data set card: a README.md with Hugging Face metadata, so that `datasets` opens the folder.

The stages that write tables for others add the description of their own table.
"""

import json
from collections.abc import Iterable
from typing import Any

from rankrefine.hub_names import repository

SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))
Record = dict[str, Any]


def render(title: str, tag: str, file: str, record: Record, body: str) -> str:
    """Return a card: metadata above `body`.

    Args:
        title: What the data set is called.
        tag: Tag of this kind of data.
        file: Name of the parquet file in the same folder.
        record: `kept`, `made_by` and `seeds` (see `seeds`) of the stage record.
        body: Markdown.
    """
    from huggingface_hub import DatasetCardData

    hub = [name for source in record["seeds"]["sources"] if (name := repository(source["source"]))]
    imported = is_imported(record)
    data = DatasetCardData(
        pretty_name=title,
        # the origin of imported data is unknown
        annotations_creators=None if imported else ["machine-generated"],
        task_categories=["sentence-similarity"],
        size_categories=[_size(record["kept"])],
        source_datasets=hub or (None if imported else ["original"]),
        tags=["rankrefine", tag, "sentence-embeddings", *([] if imported else ["synthetic"])],
        configs=[{"config_name": "default", "data_files": [{"split": "train", "path": file}]}],
    )
    return f"---\n{data.to_yaml()}\n---\n\n{body}"


def is_imported(record: Record) -> bool:
    """Return True if all data were made elsewhere."""
    return all(made.get("imported", False) for made in record["made_by"])


def _size(count: int) -> str:
    return next((name for limit, name in SIZES if count < limit), "n>10M")


def rows(pairs: Iterable[tuple[Any, Any]]) -> str:
    """Return the rows of a Markdown table of two columns."""
    return "\n".join(f"| {_cell(name)} | {_cell(value)} |" for name, value in pairs)


def _cell(value: Any) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")


def drops(dropped: dict[str, int]) -> str:
    """Return the rows of a table of drops by reason, the most frequent first."""
    return rows(sorted(dropped.items(), key=lambda item: -item[1])) or "| nothing | 0 |"


def seeds(pool: Record) -> Record:
    """Return the origin of the seed sentences from the record of the pool.

    These are `sources` with their revisions, `decontaminate`, and `written`, who wrote sentences if a model did.
    """
    section, revisions = pool["config"]["seeds"], pool.get("assets", {})
    sources = [(item["name"], item["source"]) for item in section.get("sources", [])]  # imported lists have none
    revised = [{"name": name, "source": source, "revision": revisions.get(source)} for name, source in sources]
    written = {"written": pool["made_by"]} if "made_by" in pool else {}
    return {"sources": revised, "decontaminate": section["decontaminate"], **written}


def seed_text(origin: Record, counts: dict[str, int], unit: str, title: str = "Seed sentences") -> str:
    """Return the sources of the seed sentences with the number of `unit` of each, and the decontamination sets.

    Args:
        origin: Origin of the seed sentences (see `seeds`).
        counts: Number of `unit` by source.
        unit: What is counted.
        title: First line.
    """
    known = {
        each["name"]: f" (`{each['source']}`, revision {each['revision'] or 'unknown'})" for each in origin["sources"]
    }
    lines = [f"- {name}{known.get(name, '')}: {count:,} {unit}" for name, count in counts.items()]
    written = [
        f"Written by the language model `{made['model']}`, revision {made['revision'] or 'none'}, with the recipe "
        f"`{made['prompt']}`, SHA-256 `{made['prompt_sha256']}`, and `{json.dumps(made['sampling'], sort_keys=True)}`."
        for made in origin.get("written", [])
    ]
    sets = ", ".join(f"`{source}`" for source in origin["decontaminate"]) or "no evaluation set"
    return "\n".join([f"{title}:", "", *lines, "", *written, f"Decontaminated against: {sets}."])


def origin_text(made: Record, template: str, note: str = "") -> str:
    """Return the origin of data: model, prompt and parameters, or the source of imported ones.

    Args:
        made: An entry of `made_by`.
        template: What `prompt` names.
        note: Line below the table of parameters.
    """
    if made.get("imported", False):
        return f"Imported from `{made['model']}`, revision {made['revision']}.\n"
    parameters = rows((key, json.dumps(value)) for key, value in json.loads(made["sampling"]).items())
    text = "\n".join(f"    {line}" for line in (made["prompt_text"] or "").splitlines())
    system = f" (system message {made['system_message']})" if "system_message" in made else ""
    return f"""Language model: `{made["model"]}`, revision {made["revision"] or "none"}.

| parameter | value |
| --- | --- |
{parameters}

{note}{template}: `{made["prompt"]}`, SHA-256 `{made["prompt_sha256"]}`{system}:

{text}
"""
