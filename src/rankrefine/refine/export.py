"""python -m rankrefine export --manifests M.json... --histories H.json... --scores S.csv
--output FOLDER --selection S.json --table E.md

Copies the refined encoder with the best development score and writes down why it was chosen. Nothing is chosen by a
test score.
"""

from __future__ import annotations

import csv
import logging
import shutil
from pathlib import Path
from statistics import fmean
from typing import Any

from rankrefine import io
from rankrefine.assets.manifest import load_manifest
from rankrefine.errors import UserError
from rankrefine.refine import experiments

log = logging.getLogger(__name__)
CARD = "README.md"
SCORE_COLUMNS = ("model", "task", "metric", "value", "ci_low", "ci_high")


def run(
    manifests: list[Path], histories: list[Path], scores: Path, output: Path, selection: Path, table: Path
) -> None:
    """Export one encoder: of the experiment with the best mean development score, the seed with its best one.

    Args:
        manifests: Of the refined encoders.
        histories: Of their training, in the same order.
        scores: Score table of `scores`; only copied into the card and the table.
        output: Folder to write: the encoder and its card.
        selection: JSON to write: all candidates, the chosen one, and why.
        table: Markdown to write: the experiments with mean and standard deviation over their seeds.

    Raises:
        UserError: manifests and histories do not pair up, one is damaged, or a model's folder is gone.
    """
    candidates = [_candidate(manifest, history) for manifest, history in _pairs(manifests, histories)]
    chosen = choose(candidates)
    rows = _read_scores(scores)
    shown = [row for row in rows if row["model"] in ("base", chosen["name"], _label(chosen))]
    folder = load_manifest(chosen["manifest"]).path
    with io.atomic(output) as aside:
        # contents alone: safetensors files are readable by their owner only, which a shared folder does not want
        shutil.copytree(folder, aside, copy_function=shutil.copyfile)
        (aside / CARD).write_text(card(chosen, shown), encoding="utf-8")
    why = reason(chosen, candidates)
    io.write_json(selection, {"chosen": _label(chosen), "why": why, "candidates": candidates})
    io.write_text(table, experiments.as_markdown(experiments.summaries(candidates, rows), chosen["name"]))
    log.info("export: %s", why)


def choose(candidates: list[dict[str, Any]]) -> dict[str, Any]:
    """The candidate to export; the first of equals. One seed's luck does not make an experiment the best."""
    by_name: dict[str, list[dict[str, Any]]] = {}
    for candidate in candidates:
        by_name.setdefault(candidate["name"], []).append(candidate)
    best = max(by_name.values(), key=lambda found: fmean(one["development"] for one in found))
    return max(best, key=lambda candidate: candidate["development"])


def reason(chosen: dict[str, Any], candidates: list[dict[str, Any]]) -> str:
    """Why this candidate, in one sentence."""
    names = {candidate["name"] for candidate in candidates}
    seeds = sum(candidate["name"] == chosen["name"] for candidate in candidates)
    among = f"best mean of {len(names)} experiments" if len(names) > 1 else ""
    among += (", " if among else "") + f"best of its {seeds} seeds" if seeds > 1 else ""
    among = among or "the only candidate"
    score, base = chosen["development"], chosen["base_development"]
    if chosen["improved"]:
        return f"{_label(chosen)}: development score {score:.2f}, against {base:.2f} of its base; {among}."
    return (
        f"{_label(chosen)}: no training step beat the development score before training ({score:.2f}), so it holds "
        f"those weights; {among}."
    )


def card(chosen: dict[str, Any], rows: list[dict[str, str]]) -> str:
    """The model card (Markdown): what it is, how it scores, how to open it."""
    table = ["| " + " | ".join(SCORE_COLUMNS) + " |", "|" + " --- |" * len(SCORE_COLUMNS)]
    table += ["| " + " | ".join(row[column] or "" for column in SCORE_COLUMNS) + " |" for row in rows]
    if chosen["improved"]:
        trained = f"The weights are those of step {chosen['best_step']}, the best on development data."
    else:
        trained = "**No training step beat the start on development data: these are the weights before training.**"
    return f"""# {_label(chosen)}

A sentence encoder made by rankrefine from `{chosen["base"]}` (revision {chosen["revision"]}): it learned to order \
{chosen["lists"]} generated ranking lists. {trained}

| | development score (Spearman x100) |
| --- | --- |
| base | {chosen["base_development"]:.2f} |
| this model | {chosen["development"]:.2f} |

Test scores (x100, with confidence intervals; `delta` is the difference to the base):

{chr(10).join(table)}

It needs nothing but sentence-transformers; FOLDER is the one that holds this file:

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("FOLDER")
embeddings = model.encode(["A sentence.", "Another one."])
```
"""


def _pairs(manifests: list[Path], histories: list[Path]) -> list[tuple[Path, Path]]:
    if len(manifests) != len(histories):
        raise UserError(
            f"There are {len(manifests)} manifests but {len(histories)} histories; give one history for each manifest."
        )
    return list(zip(manifests, histories, strict=True))


def _candidate(manifest: Path, history: Path) -> dict[str, Any]:
    """What the choice and the card need to know of one refined encoder."""
    found = io.read_json(history)
    try:
        return {
            "name": found["name"],
            "seed": found["seed"],
            "development": found["best_development"],
            "base_development": found["base_development"],
            "best_step": found["best_step"],
            "improved": found["improved"],
            "lists": found["lists"],
            "base": found["base"]["model"],
            "revision": found["base"]["revision"],
            "manifest": manifest.as_posix(),
        }
    except (KeyError, TypeError) as error:
        raise UserError(f"{history} is no training history ({error} is missing); delete it and run again.") from error


def _read_scores(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            reader = csv.DictReader(stream)
            rows = list(reader)
    except FileNotFoundError as error:
        raise UserError(f"There is no file {path}.") from error
    if missing := [column for column in SCORE_COLUMNS if column not in (reader.fieldnames or [])]:
        raise UserError(f"{path} has no column '{missing[0]}'; delete it and run again.")
    return rows


def _label(candidate: dict[str, Any]) -> str:
    return f"{candidate['name']}/{candidate['seed']}"
