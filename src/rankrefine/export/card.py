"""Model card of a refined encoder: README.md in the Hugging Face format, with the scores as metadata."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import yaml

from rankrefine import hub_names
from rankrefine.score_table import Score

METRICS = {  # task type and metric name of the scores in the metadata
    "spearman": ("STS", "Spearman correlation of the cosine x 100"),
    "map": ("Reranking", "Mean average precision x 100"),
    "accuracy": ("Classification", "Accuracy x 100"),
}
# oldest version of sentence-transformers that opens what encoders/saving.py writes: tools/old_libraries.py
OLDEST = "3.0.1"
AVERAGE = "average ("  # prefix of the names of averages over tasks


def card(training: dict[str, Any], scores: Sequence[Score], lists: dict[str, Any]) -> str:
    """Return the card, Markdown below YAML metadata, from the records of a training and its lists, and all scores."""
    from huggingface_hub import EvalResult, ModelCardData

    results = [EvalResult(**fields) for fields in _results(_select(training, scores)[1])]
    data = ModelCardData(
        model_name=label(training) if results else None,
        base_model=hub_names.repository(training["base"]["model"]),
        library_name="sentence-transformers",
        pipeline_tag="sentence-similarity",
        tags=["sentence-transformers", "sentence-similarity", "feature-extraction", "rankrefine"],
        eval_results=results or None,
    )
    return f"---\n{data.to_yaml()}\n---\n\n{_body(training, scores, lists)}"


def label(training: dict[str, Any]) -> str:
    """Return the name of an encoder, EXPERIMENT/SEED."""
    return f"{training['name']}/{training['seed']}"


def _select(training: dict[str, Any], scores: Sequence[Score]) -> tuple[list[Score], list[Score], list[Score]]:
    """Return the rows of the base, of this encoder, and of the mean over its experiment if that has several seeds.

    The only encoder of an experiment has the experiment's name in the score table.
    """
    models = ("base", label(training), training["name"])
    base, own, named = ([row for row in scores if row.model == model] for model in models)
    return (base, own, named) if own else (base, named, [])


def _results(rows: Iterable[Score]) -> list[dict[str, Any]]:
    """Return the scores on whole tasks as metadata; averages over tasks are left out."""
    return [
        {
            "task_type": METRICS[row.metric][0],
            "dataset_type": row.task,
            "dataset_name": row.task,
            "metric_type": row.metric,
            "metric_name": METRICS[row.metric][1],
            "metric_value": row.value,
        }
        for row in rows
        if row.metric in METRICS and row.subset == "all" and not row.task.startswith(AVERAGE)
        if not math.isnan(row.value)
    ]


def _body(training: dict[str, Any], scores: Sequence[Score], lists: dict[str, Any]) -> str:
    base, own, mean = _select(training, scores)
    trained = (
        f"The weights are those of step {training['best_step']}, the best on the development data."
        if training["improved"]
        else "**No training step was better than the base on the development data: these are the weights before "
        "training.**"
    )
    data, config, origin = training["development_data"], training["config"]["refine"], _model(training["base"])
    keys = yaml.safe_dump(training["config"], sort_keys=False, allow_unicode=True).strip()
    revision = f", revision {data['revision']}" if data.get("revision") else ""
    return f"""# {label(training)}

A sentence encoder, refined with rankrefine from {origin}. It was trained on
{training["lists"]:,} ranking lists without human labels. {trained}

## Usage

Install sentence-transformers {OLDEST} or newer and replace FOLDER by the path of the folder with this file. The
versions that wrote it are in `config_sentence_transformers.json`; use these if an older transformers does not know
the kind of model in `config.json`, or gives other embeddings.

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("FOLDER")
embeddings = model.encode(["A sentence.", "Another one."])
print(model.similarity(embeddings, embeddings))
```

## Scores

Score x 100 on the development data ({data["source"]}{revision}), which selected the training step: base
{training["base_development"]:.2f}, this encoder {training["best_development"]:.2f}.

Scores on test data, which were not used for any choice:

{score_table(base, own)}
{_means(mean, training["name"])}
In brackets: bootstrap confidence intervals. Correlations, precision, accuracy, reciprocal rank and hits are x 100.
For alignment and uniformity, lower is better.

## Training

- Base: {origin}
{_bullets("Teacher", map(_teacher, training["teachers"]))}
{_lists(lists)}
- Random seed of the training: {training["seed"]}

Configuration of the training:

```yaml
{keys}
```

## Limitations

- The rankings come from a language model and a teacher; their mistakes and biases may have been learned.
- The scores apply to these tasks only, not to other text, languages or uses.
- Training sentences were truncated to {config["max_length"]} tokens; longer text was not seen.
- The terms of the base encoder, the teacher, the language model and the seed sentences apply. This card names
  no licence because rankrefine does not know them; check them and add `license:` above.
"""


def score_table(base: Sequence[Score], own: Sequence[Score]) -> str:
    """Format a Markdown table with a line for each task, subset and metric: base, this encoder and the difference."""
    of_base, of_own = ({row.key: row for row in rows} for rows in (base, own))
    lines = ["| task | subset | metric | n | base | this encoder | difference |", "|---|---|---|---:|---:|---:|---:|"]
    for key in dict.fromkeys([*of_base, *of_own]):
        left, right = of_base.get(key), of_own.get(key)
        n = (right and right.n) or (left and left.n) or ""
        cells = [
            row.show(column) + row.show_interval(column) if row else ""
            for row, column in ((left, "value"), (right, "value"), (right, "delta"))
        ]
        lines.append(f"| {' | '.join([*key, str(n), *cells])} |")
    return "\n".join(lines)


def _means(rows: Sequence[Score], name: str) -> str:
    """Format a Markdown table of the means over the seeds of an experiment, on whole tasks."""
    whole = [row for row in rows if row.subset == "all" and not math.isnan(row.value)]
    if not whole:
        return ""
    lines = ["| task | metric | score | difference to the base |", "|---|---|---:|---:|"]
    lines += [f"| {row.task} | {row.metric} | {row.show_sd('value')} | {row.show_sd('delta')} |" for row in whole]
    return f"\nMean ± standard deviation over the {whole[0].seeds} seeds of {name}:\n\n" + "\n".join(lines) + "\n"


def _model(record: dict[str, Any]) -> str:
    return f"`{record['model']}`, revision {record['revision']}"


def _teacher(record: dict[str, Any]) -> str:
    return _model(record) + (f", weight {record['weight']:.2f}" if record.get("weight", 1) != 1 else "")


def _lists(record: dict[str, Any]) -> str:
    """Describe the ranking lists: language models with their prompts, seed sentences and decontamination."""
    sources = {source["name"]: f" (`{source['source']}`)" for source in record["seeds"]["sources"]}
    seeds = [f"{name}{sources.get(name, '')}: {count:,} lists" for name, count in record["sources"].items()]
    seeds += [f"written by {_model(made)}, recipe `{made['prompt']}`" for made in record["seeds"].get("written", [])]
    evaluation = ", ".join(f"`{source}`" for source in record["seeds"]["decontaminate"]) or "none"
    origins = "\n".join(map(_origin, record["made_by"]))
    return f"""- Ranking lists: {record["kept"]:,} of {record["read"]:,} passed the quality rules
{origins}
{_bullets("Seed sentences", seeds)}
- Evaluation sets excluded from the seed sentences: {evaluation}"""


def _origin(origin: dict[str, Any]) -> str:
    """Describe the language model with its prompt, or the source of imported lists."""
    if origin.get("imported"):
        return f"- Imported from: {_model(origin)}"
    return f"- Generated by: {_model(origin)}, prompt `{origin['prompt']}`, `{origin['sampling']}`"


def _bullets(name: str, values: Iterable[str]) -> str:
    return "\n".join(f"- {name}: {value}" for value in values)
