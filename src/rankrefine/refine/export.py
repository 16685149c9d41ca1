"""python -m rankrefine export --manifests M.json... --histories H.json... --scores S.csv
--output FOLDER --selection S.json

Copies the refined encoder with the best development score and writes down why it was chosen. Nothing is chosen by a
test score.
"""

from __future__ import annotations

import csv
import logging
import shutil
from pathlib import Path
from typing import Any

from rankrefine import io
from rankrefine.assets.manifest import load_manifest
from rankrefine.errors import UserError

log = logging.getLogger(__name__)
CARD = "README.md"
SCORE_COLUMNS = ("model", "task", "metric", "value", "ci_low", "ci_high")


def run(manifests: list[Path], histories: list[Path], scores: Path, output: Path, selection: Path) -> None:
    """Export one encoder.

    Args:
        manifests: Of the refined encoders.
        histories: Of their training, in the same order.
        scores: Score table of `scores`; only copied into the card.
        output: Folder to write: the encoder and its card.
        selection: JSON to write: all candidates, the chosen one, and why.

    Raises:
        UserError: manifests and histories do not pair up, one is damaged, or a model's folder is gone.
    """
    candidates = [_candidate(manifest, history) for manifest, history in _pairs(manifests, histories)]
    chosen = max(candidates, key=lambda candidate: candidate["development"])  # the first of equals
    rows = [row for row in _read_scores(scores) if row["model"] in ("base", chosen["name"], _label(chosen))]
    folder = load_manifest(chosen["manifest"]).path
    with io.atomic(output) as aside:
        # contents alone: safetensors files are readable by their owner only, which a shared folder does not want
        shutil.copytree(folder, aside, copy_function=shutil.copyfile)
        (aside / CARD).write_text(card(chosen, rows), encoding="utf-8")
    why = reason(chosen, len(candidates))
    io.write_json(selection, {"chosen": _label(chosen), "why": why, "candidates": candidates})
    log.info("export: %s", why)


def reason(chosen: dict[str, Any], candidates: int) -> str:
    """Why this candidate, in one sentence."""
    among = f"best of {candidates} candidates" if candidates > 1 else "the only candidate"
    score, base = chosen["development"], chosen["base_development"]
    if chosen["improved"]:
        return f"{_label(chosen)}: development score {score:.2f}, against {base:.2f} of its base; {among}."
    return (
        f"{_label(chosen)}: no training step beat the base's development score of {base:.2f}, so it holds the base's "
        f"own weights; {among}."
    )


def card(chosen: dict[str, Any], rows: list[dict[str, str]]) -> str:
    """The model card (Markdown): what it is, how it scores, how to open it."""
    table = ["| " + " | ".join(SCORE_COLUMNS) + " |", "|" + " --- |" * len(SCORE_COLUMNS)]
    table += ["| " + " | ".join(row[column] or "" for column in SCORE_COLUMNS) + " |" for row in rows]
    if chosen["improved"]:
        trained = f"The weights are those of step {chosen['best_step']}, the best on development data."
    else:
        trained = "**No training step beat the base on development data: these are the base's own weights.**"
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
