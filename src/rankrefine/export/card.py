"""The card of a refined encoder: a README.md in the Hugging Face form, with its scores as metadata."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

Row = dict[str, str]
HUB = re.compile(r"(?:base:)?hub:([\w.-]+(?:/[\w.-]+)?)@")
METRICS = {  # scores for the metadata: kind of task and name
    "spearman": ("STS", "Spearman correlation of the cosine x 100"),
    "map": ("Reranking", "Mean average precision x 100"),
    "accuracy": ("Classification", "Accuracy x 100"),
}
FINE = ("alignment", "uniformity")  # not x 100
AVERAGE = "average ("  # begins the name of a row over several tasks


def card(training: dict[str, Any], scores: Sequence[Row], lists: dict[str, Any]) -> str:
    """The card's text, Markdown under YAML metadata.

    Args:
        training: record of the training (`history.json`).
        scores: rows of the score table.
        lists: record of the ranking lists.
    """
    from huggingface_hub import EvalResult, ModelCardData

    _, own, _ = chosen_rows(training, scores)
    evaluated = [EvalResult(**result) for result in results(own)]
    hub = HUB.match(training["base"]["model"])
    data = ModelCardData(
        model_name=label(training) if evaluated else None,
        base_model=hub[1] if hub else None,
        library_name="sentence-transformers",
        pipeline_tag="sentence-similarity",
        tags=["sentence-transformers", "sentence-similarity", "feature-extraction", "rankrefine"],
        eval_results=evaluated or None,
    )
    return f"---\n{data.to_yaml()}\n---\n\n{_body(training, scores, lists)}"


def label(training: dict[str, Any]) -> str:
    """An encoder's name, of its experiment and its seed."""
    return f"{training['name']}/{training['seed']}"


def chosen_rows(training: dict[str, Any], scores: Sequence[Row]) -> tuple[list[Row], list[Row], list[Row]]:
    """The rows of the base, of this encoder, and those over all seeds of its experiment where there are several.

    An encoder whose experiment has one seed stands in the table under the experiment's name.
    """
    base, own, named = (
        [row for row in scores if row["model"] == model] for model in ("base", label(training), training["name"])
    )
    return (base, own, named) if own else (base, named, [])


def results(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """The encoder's scores on whole tasks, as the metadata name them; averages are none of a task."""
    return [
        {
            "task_type": METRICS[row["metric"]][0],
            "dataset_type": row["task"],
            "dataset_name": row["task"],
            "metric_type": row["metric"],
            "metric_name": METRICS[row["metric"]][1],
            "metric_value": float(row["value"]),
        }
        for row in rows
        if row["metric"] in METRICS and row["subset"] == "all"
        if not row["task"].startswith(AVERAGE) and number(row["value"]) is not None
    ]


def number(text: str | None) -> float | None:
    """A cell as a number; None where it is empty."""
    value = float(text) if text else math.nan
    return None if math.isnan(value) else value


def _body(training: dict[str, Any], scores: Sequence[Row], lists: dict[str, Any]) -> str:
    base, own, of_all_seeds = chosen_rows(training, scores)
    trained = (
        f"The weights are those of step {training['best_step']}, the best on the development data."
        if training["improved"]
        else "**No training step beat the start on the development data: these are the weights before training.**"
    )
    data, settings, origin = training["development_data"], training["config"]["refine"], _model(training["base"])
    return f"""# {label(training)}

A sentence encoder made with rankrefine from {origin}. It learned to order
{training["lists"]:,} ranking lists by similarity, which hold no human label. {trained}

## How to use it

It needs sentence-transformers alone. FOLDER is the one that holds this file and the model:

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("FOLDER")
embeddings = model.encode(["A sentence.", "Another one."])
print(model.similarity(embeddings, embeddings))
```

## Scores

Development ({_named(data)}), which chose the training step, x 100: base {training["base_development"]:.2f}, this
encoder {training["best_development"]:.2f}.

Test, which chose nothing:

{score_table(base, own)}
{_of_all_seeds(of_all_seeds, training["name"])}
In brackets: confidence intervals, by bootstrap. Correlations, precision, accuracy, reciprocal rank and hits are x 100.
Of alignment and uniformity, less is better.

## Training

- Base: {origin}
{_bullets("Teacher", (_model(each) + _weight(each) for each in training["teachers"]))}
{_lists(lists)}
- Seed of the training: {training["seed"]}

All settings of the training:

```yaml
{_yaml(settings)}
```

## Limits

- The rankings come from a language model and a teacher, and their mistakes and biases may have been learned.
- The scores hold for these tasks. How the encoder does on other text, other languages or other uses is not known.
- In training, sentences were cut to {settings["max_length"]} tokens; longer text was not seen.
- The terms of the base encoder, the teacher, the language model and the seed sentences apply. This card states
  no licence, because rankrefine does not know them; add `license:` above when you have looked.
"""


def score_table(base: Sequence[Row], own: Sequence[Row]) -> str:
    """A Markdown table: a line for each task, subset and metric, with base, this encoder and the difference."""
    of_base, of_own = ({_key(row): row for row in rows} for rows in (base, own))
    lines = ["| task | subset | metric | n | base | this encoder | difference |", "|---|---|---|---:|---:|---:|---:|"]
    for key in dict.fromkeys([*of_base, *of_own]):
        one, other = of_base.get(key, {}), of_own.get(key, {})
        cells = [
            *key,
            other.get("n") or one.get("n") or "",
            _with_interval(one, "value", "ci_low", "ci_high"),
            _with_interval(other, "value", "ci_low", "ci_high"),
            _with_interval(other, "delta", "delta_low", "delta_high", sign="+"),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _of_all_seeds(rows: Sequence[Row], name: str) -> str:
    """What the seeds of the experiment reach together, on whole tasks."""
    whole = [row for row in rows if row["subset"] == "all" and number(row["value"]) is not None]
    if not whole:
        return ""
    lines = [f"| {row['task']} | {row['metric']} | {_spread(row, '')} | {_spread(row, 'delta')} |" for row in whole]
    head = "| task | metric | score | difference to the base |\n|---|---|---:|---:|"
    return (
        f"\nMean ± standard deviation over the {whole[0]['seeds']} seeds of {name}:\n\n{head}\n"
        + "\n".join(lines)
        + "\n"
    )


def _spread(row: Row, what: str) -> str:
    """`83.04 ± 0.21`."""
    mean, sd = number(row[what or "value"]), number(row[f"{what}_sd" if what else "sd"])
    form = ".4f" if row["metric"] in FINE else ".2f"
    return "" if mean is None else f"{mean:{'+' if what else ''}{form}}" + ("" if sd is None else f" ± {sd:{form}}")


def _key(row: Row) -> tuple[str, str, str]:
    return row["task"], row["subset"], row["metric"]


def _with_interval(row: Row, value: str, low: str, high: str, sign: str = "") -> str:
    """`82.66 [80.80, 84.50]`, as far as the cells are filled."""
    found, *ends = (number(row.get(key)) for key in (value, low, high))
    if found is None:
        return ""
    form = f"{sign}.4f" if row["metric"] in FINE else f"{sign}.2f"
    return f"{found:{form}}" + ("" if None in ends else " [" + ", ".join(f"{end:{form}}" for end in ends) + "]")


def _named(data: dict[str, Any]) -> str:
    return f"{data['source']}, revision {data['revision']}" if data.get("revision") else data["source"]


def _model(made: dict[str, Any]) -> str:
    return f"`{made['model']}`, revision {made['revision']}"


def _weight(teacher: dict[str, Any]) -> str:
    return f", weight {teacher['weight']:.2f}" if teacher.get("weight", 1) != 1 else ""


def _lists(record: dict[str, Any]) -> str:
    """What the ranking lists are: who wrote them, with which prompt, from which sentences."""
    made = (
        _model(each) + (f", prompt `{each['prompt']}`, `{each['sampling']}`" if each["prompt"] else "")
        for each in record["made_by"]
    )
    given = {each["name"]: f" (`{each['source']}`)" for each in record["seeds"]["sources"]}
    seeds = (f"{name}{given.get(name, '')}: {count:,} lists" for name, count in record["sources"].items())
    apart = ", ".join(f"`{source}`" for source in record["seeds"]["decontaminate"]) or "no evaluation set"
    return "\n".join(
        [
            f"- Ranking lists: {record['kept']:,} of {record['read']:,} passed the quality rules",
            _bullets("Made by", made),
            _bullets("Seed sentences", seeds),
            f"- The seed sentences were kept apart from: {apart}",
        ]
    )


def _bullets(what: str, values: Iterable[str]) -> str:
    return "\n".join(f"- {what}: {value}" for value in values)


def _yaml(settings: dict[str, Any]) -> str:
    return "\n".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in settings.items())
